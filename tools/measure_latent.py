"""Emoji of 64 x 64 pixels drawn in pixels and in latents: `pip install -e '.[eval]' && python tools/measure_latent.py [PIXELS] [LATENTS] [N]`

The bundles are those of `python tools/train_emoji.py pixels` and `... latents` (runs/pixels, runs/latents). Kernel distance (features of
EfficientNet-Lite0) of N samples to the test images, that of test images after a walk through the autoencoder, and seconds an image, taken in turns.
Writes nbs/images/latent.json and .png.
"""
import json, statistics, sys, time
from pathlib import Path
import numpy as np, torch
from meme_nb.data import emoji, image_grid
from meme_nb.experts import count_flops
from meme_nb.generate import generate
from meme_nb.latent import psnr, reconstruct
from meme_nb.metrics import features, kernel_distance
from meme_nb.model import MEME
from record import IMAGES, record

HOW = dict(guidance=2., steps=20)


def distance(x, real):
    kd = kernel_distance(features(x), real)
    return dict(kernel_distance=float(kd), se=kd.se)

def seconds(models, n=32, rounds=5):
    "Median seconds an image, the models in turns"
    took = {name: [] for name in models}
    for _ in range(rounds):
        for name, m in models.items():
            start = time.perf_counter()
            generate(m, n, bs=n, **HOW)
            took[name].append((time.perf_counter()-start)/n)
    return {name: statistics.median(t) for name, t in took.items()}

def main(pixels='runs/pixels', latents='runs/latents', n=693):
    folders, test, n = dict(pixels=pixels, latents=latents), emoji('test', 64), int(n)
    models, real, rows, shown = {k: MEME.load(f) for k, f in folders.items()}, features(test), {}, []
    for name, m in models.items():
        x = generate(m, n, bs=64, seed=0, cond=test.y[torch.arange(n)%len(test)], **HOW)
        shown.append(x[:20])
        rows[name] = dict(**distance(x, real), macs_a_step=[count_flops(e, m.size)//2 for e in m.experts],
                          training=json.loads((Path(folders[name])/'training.json').read_text()))
    for name, t in seconds(models).items(): rows[name]['seconds_an_image'] = t
    back, train = reconstruct(models['latents'].autoencoder, test), emoji('train', 64)
    some = train[torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:len(test)]]
    record('latent', n=n, **HOW, rows=rows, speed_up=rows['pixels']['seconds_an_image']/rows['latents']['seconds_an_image'],
           autoencoder=dict(**distance(back, real), PSNR=float(psnr(back, test))), floor=distance(some, real))
    image_grid(np.concatenate(shown), 10).save(IMAGES/'latent.png')


if __name__=='__main__': main(*sys.argv[1:])
