"""What a learned variance is worth in bits: `python tools/compare_hybrid.py [STEPS] [SEED]`

Trains the demo's experts twice with the same seed, steps and batches, once with the simple loss and once with learned variance and the hybrid loss,
and measures the variational bound on the 2,000 test images. Writes nbs/images/hybrid.json, which the notebook of losses shows.
"""
import functools, sys
from unittest.mock import patch
import torch
from meme_nb import cli
from meme_nb.data import fashion_mnist
from meme_nb.losses import bits_per_dim
from record import record


def rows(loss, variances, steps, seed, **kw):
    "Train one arm; its bits a dimension with each way to choose the variance"
    with patch.object(cli, 'demo_model', functools.partial(cli.demo_model, **kw)): learn = cli._train(steps, None, seed, torch.device('cpu'))
    for variance in variances:
        b = bits_per_dim(learn.averaged(), fashion_mnist('test'), variance=variance, seed=seed)
        yield dict(loss=loss, variance=variance, bits_per_dim=round(b.mean, 4), stderr=round(b.stderr, 4), prior=round(b.prior, 4),
                   decoder=round(b.decoder, 4), experts=[round(o, 4) for o in b.experts], n=b.n, seconds_training=round(learn.seconds, 1))

def main(steps=2400, seed=0):
    runs = [*rows('simple', ('small', 'large'), steps, seed), *rows('hybrid', ('learned',), steps, seed, learned_variance=True)]
    record('hybrid', steps=steps, seed=seed, runs=runs)


if __name__=='__main__': main(*map(int, sys.argv[1:]))
