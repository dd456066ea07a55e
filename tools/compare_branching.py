"""Does a generalist first help? The demo with different shares: `python tools/compare_branching.py [STEPS] [SEED]`

Writes nbs/images/branching.json, which the notebook of training shows.
"""
import sys
import torch
from meme_nb import cli
from record import record

CPU = torch.device('cpu')


def run(share, steps, seed):
    "FD of 2,000 samples after `steps` steps, of which `share` train the generalist"
    cli.recipe['generalist'] = share
    learn = cli._train(steps, None, seed, CPU)
    return dict(share=share, seconds_training=round(learn.seconds, 1), **cli._measure(learn.averaged(), seed, CPU)[1])

def main(steps=1200, seed=0): record('branching', steps=steps, seed=seed, runs=[run(share, steps, seed) for share in (0., .25, .5, .75)])


if __name__=='__main__': main(*map(int, sys.argv[1:]))
