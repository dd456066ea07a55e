"""Emoji of 64 x 64 pixels drawn in pixels and in latents: `pip install -e '.[eval]' && python tools/measure_latent.py [PIXELS] [LATENTS] [N]`

The bundles are those of `python tools/train_emoji.py pixels` and `... latents` (runs/pixels, runs/latents). Kernel distance (features of EfficientNet-Lite0) of N samples
to the test images, that of test images after a walk through the autoencoder, and seconds an image, taken in turns. Writes nbs/images/latent.json and .png.
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

out = Path(__file__).parent.parent/'nbs'/'images'
how = dict(guidance=2., steps=20)

def main(pixels='runs/pixels', latents='runs/latents', n=693, rounds=5):
    models, test, n = {'pixels':MEME.load(pixels), 'latents':MEME.load(latents)}, emoji('test', 64), int(n)
    real, rows, shown, took = features(test), {}, [], {k:[] for k in models}
    for name, m in models.items():
        x = generate(m, n, bs=64, seed=0, cond=(test.y[torch.arange(n)%len(test)]), **how); kd = kernel_distance(features(x), real); shown.append(x[:20])
        rows[name] = dict(kernel_distance=float(kd), se=kd.se, macs_a_step=[count_flops(e, m.size)//2 for e in m.experts], training=json.loads((Path(dict(pixels=pixels, latents=latents)[name])/'training.json').read_text()))
    for _ in range(rounds):
        for name, m in models.items(): start = time.perf_counter(); generate(m, 32, bs=32, **how); took[name].append((time.perf_counter()-start)/32)
    for name, t in took.items(): rows[name]['seconds_an_image'] = statistics.median(t)
    back = reconstruct(models['latents'].autoencoder, test); kd = kernel_distance(features(back), real); train = features(emoji('train', 64)); floor = kernel_distance(train[torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:len(test)]], real)
    facts = dict(n=n, **how, rows=rows, speed_up=rows['pixels']['seconds_an_image']/rows['latents']['seconds_an_image'], autoencoder=dict(kernel_distance=float(kd), se=kd.se, PSNR=float(psnr(back, test))), floor=dict(kernel_distance=float(floor), se=floor.se),
                 threads=torch.get_num_threads(), torch=torch.__version__, date=time.strftime('%Y-%m-%d'), command='python tools/measure_latent.py')
    (out/'latent.json').write_text(json.dumps(facts, indent=1)+'\n'); print(json.dumps(facts, indent=1)); image_grid(np.concatenate(shown), 10).save(out/'latent.png')

if __name__=='__main__': main(*sys.argv[1:])
