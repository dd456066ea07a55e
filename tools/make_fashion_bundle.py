"""Train the class-conditional garments that come with the package: `python tools/make_fashion_bundle.py [RUN]`

It needs `apt-get install dataset-fashion-mnist`. Runs `meme_train` on all 60,000 images into the folder RUN (runs/fashion), or goes on with the run that
is there; then writes the averaged weights as float16 to meme_nb/assets/bundles/fashion, and what they are to nbs/images/fashion_bundle.json.
"""
import hashlib, json, shutil, subprocess, sys
from pathlib import Path
import torch
from meme_nb.analysis import loss_matrix
from meme_nb.data import assets, debian_fashion, fashion_mnist
from meme_nb.experts import count_flops, count_params
from meme_nb.model import MEME
from record import record

FLAGS = ['--data', debian_fashion, '--steps', '10000', '--bs', '64', '--lr', '5e-3', '--checkpoint_every', '1000']


def main(run='runs/fashion'):
    out, run = assets/'bundles'/'fashion', Path(run)
    going_on = ['--resume'] if (run/'run.json').is_file() else FLAGS
    if not (run/'config.json').is_file(): subprocess.run(['meme_train', *going_on, '--out', run], check=True)
    shutil.rmtree(out, ignore_errors=True)
    MEME.load(run).save(out, dtype=torch.float16)
    model, files = MEME.load(out), sorted(out.iterdir())
    losses = loss_matrix(model, fashion_mnist('test'), bins=4, n=1000)
    record('fashion_bundle', run=json.loads((run/'run.json').read_text()), parameters=[count_params(e) for e in model.experts],
           macs=[count_flops(e, model.size)//2 for e in model.experts],
           held_out_loss={f'expert {k}': [round(o, 4) for o in row] for k, row in enumerate(losses.tolist())},
           bytes=sum(f.stat().st_size for f in files), sha256={f.name: hashlib.sha256(f.read_bytes()).hexdigest()[:16] for f in files})


if __name__=='__main__': main(*sys.argv[1:])
