"""Super-resolution of emoji that were not in training, 16 to 64 pixels: `python tools/measure_super_resolution.py [BUNDLE] [N]`

It needs `pip install -e '.[eval]'`. BUNDLE is of `python tools/train_emoji.py sr 16000` (runs/sr). Beside bicubic enlargement: PSNR, kernel distance on
features of EfficientNet-Lite0 to the real images, and how far the result, made small again, is from what was given. The kernel distance also at half the
size, where fine texture has gone; and that of the originals with noise that hardly anybody sees, to tell how strict this judge is. Writes
nbs/images/super_resolution.json and .png.
"""
import json, sys, time
from pathlib import Path
import numpy as np, torch, torch.nn.functional as F
from meme_nb.data import emoji, image_grid, to_float, to_uint8
from meme_nb.generate import enlarged, super_resolve
from meme_nb.metrics import features, kernel_distance
from meme_nb.model import MEME
from record import IMAGES, record

FACTOR, STEPS = 4, 20


def psnr(a, b):
    "Mean over images, in dB"
    mse = ((a.astype(float)-b)**2).mean((1, 2, 3)).clip(1e-9)
    return float((10*np.log10(255**2/mse)).mean())

def half(y): return F.avg_pool2d(to_float(y), 2).clamp(-1, 1)

def noisy(x): return np.clip(x.numpy()+2*np.random.default_rng(0).standard_normal(x.shape), 0, 255).round().astype(np.uint8)

def ways(model, low, real):
    "Name to a function that enlarges"
    def experts(**kw): return lambda: super_resolve(model, low, FACTOR, steps=STEPS, **kw)
    return {'the originals, with noise of 2 grey levels': lambda: noisy(real),
            'bicubic': lambda: to_uint8(enlarged(to_float(low), FACTOR)),
            **{f'experts, temperature {t:g}': experts(temperature=t) for t in (1., .8, .5, 0.)},
            'experts, temperature 0.5, not consistent': experts(temperature=.5, consistent=False)}

def row(name, y, seconds, low, real, f, f_half):
    kd, at_half = kernel_distance(features(y), f, paired=True), kernel_distance(features(half(y)), f_half, paired=True)
    back = (F.avg_pool2d(to_float(y), FACTOR)-to_float(low)).abs().mean().item()/2
    return dict(way=name, PSNR=round(psnr(y, real.numpy()), 3), kernel_distance=float(kd), se=kd.se, at_half_size=float(at_half),
                se_at_half_size=at_half.se, down_sampling_error_in_255ths=round(255*back, 3), seconds=round(seconds, 1))

def main(bundle='runs/sr', n=693):
    model, test = MEME.load(bundle), emoji('test', 64)
    n = min(int(n), len(test))
    real = test[torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:n]].x
    low = to_uint8(F.avg_pool2d(to_float(real), FACTOR))
    f, f_half, rows, shown = features(real), features(half(real)), [], [low[:10].repeat(FACTOR, 1).repeat(FACTOR, 2)]
    for name, draw in ways(model, low, real).items():
        start = time.perf_counter()
        y = draw()
        rows.append(row(name, y, time.perf_counter()-start, low, real, f, f_half))
        if name in ('bicubic', 'experts, temperature 1', 'experts, temperature 0.5', 'experts, temperature 0'): shown.append(y[:10])
        print(rows[-1], flush=True)
    image_grid(np.concatenate([*shown, real[:10].numpy()]), 10).save(IMAGES/'super_resolution.png')
    training = Path(bundle)/'training.json'
    record('super_resolution', n=n, steps=STEPS, rows=rows, floor_of_halves=float(kernel_distance(f[:n//2], f[n//2:])),
           training=json.loads(training.read_text()) if training.is_file() else None)


if __name__=='__main__': main(*sys.argv[1:])
