"""Does a generalist first help? The demo with different shares: `python tools/compare_branching.py [STEPS] [SEED]`

Writes `nbs/images/branching.json`, which the notebook of training shows.
"""
import json, os, platform, sys, time
from pathlib import Path
import torch
from meme_nb import cli

def run(share, steps, seed):
    "FD of 2,000 samples after `steps` steps, of which `share` train the generalist"
    cli.recipe['generalist'] = share
    learn = cli._train(steps, None, seed, torch.device('cpu'))
    fd = cli._measure(learn.averaged(), seed, torch.device('cpu'))[1]
    return dict(share=share, seconds_training=round(learn.seconds, 1), **fd)

def main(steps=1200, seed=0):
    out = dict(command=f'python tools/compare_branching.py {steps} {seed}', date=time.strftime('%Y-%m-%d'), steps=steps, seed=seed, torch=torch.__version__,
               machine=f'{os.cpu_count()} cores, {platform.machine()}', runs=[run(share, steps, seed) for share in (0., .25, .5, .75)])
    f = Path(__file__).parent.parent/'nbs'/'images'/'branching.json'
    f.write_text(json.dumps(out, indent=1)+'\n'); print(f'\n{f}:\n{f.read_text()}')

if __name__=='__main__': main(*map(int, sys.argv[1:]))
