"""Super-resolution of emoji that were not in training, 16 to 64 pixels: `pip install -e '.[eval]' && python tools/measure_super_resolution.py [BUNDLE] [N]`

BUNDLE is of `python tools/train_emoji.py sr` (runs/sr). Beside bicubic enlargement: PSNR, kernel distance on features of EfficientNet-Lite0 to the real images, and how
far the result, made small again, is from what was given. The kernel distance also at half the size, where fine texture has gone; and that of the originals
with noise that hardly anybody sees, to tell how strict this judge is. Writes nbs/images/super_resolution.json and .png.
"""
import json, math, sys, time
from pathlib import Path
import numpy as np, torch, torch.nn.functional as F
from meme_nb.data import emoji, image_grid, to_float, to_uint8
from meme_nb.generate import enlarged, super_resolve
from meme_nb.metrics import features, kernel_distance
from meme_nb.model import MEME

out = Path(__file__).parent.parent/'nbs'/'images'

def psnr(a, b): return float(np.mean([10*math.log10(255**2/max(((p.astype(float)-q)**2).mean(), 1e-9)) for p,q in zip(a, b)]))

def main(bundle='runs/sr', n=693):
    model, test = MEME.load(bundle), emoji('test', 64); n = min(int(n), len(test)); real = test[torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:n]].x
    low = to_uint8(F.avg_pool2d(to_float(real), 4)); f, rows, shown = features(real), [], [np.asarray(torch.from_numpy(low[:10]).repeat_interleave(4, 1).repeat_interleave(4, 2))]
    ways = {'the originals, with noise of 2 grey levels':lambda: np.clip(real.numpy()+2*np.random.default_rng(0).standard_normal(real.shape), 0, 255).round().astype(np.uint8), 'bicubic':lambda: to_uint8(enlarged(to_float(low), 4)), 'experts, 20 steps':lambda: super_resolve(model, low, 4, consistent=False), 'experts, consistent, 20 steps':lambda: super_resolve(model, low, 4)}
    small = lambda y: features(F.avg_pool2d(to_float(y), 2).clamp(-1, 1)); fs = small(real)
    for name, draw in ways.items():
        start = time.perf_counter(); y = draw(); seconds = time.perf_counter()-start; kd, half_size = kernel_distance(features(y), f, paired=True), kernel_distance(small(y), fs, paired=True); shown += [y[:10]]*('originals' not in name)
        back = (F.avg_pool2d(to_float(y), 4)-to_float(low)).abs().mean().item()/2
        rows.append(dict(way=name, PSNR=round(psnr(y, real.numpy()), 3), kernel_distance=float(kd), se=kd.se, at_half_size=float(half_size), se_at_half_size=half_size.se, down_sampling_error_in_255ths=round(255*back, 3), seconds=round(seconds, 1))); print(rows[-1], flush=True)
    half = f[:n//2], f[n//2:]; training = json.loads((Path(bundle)/'training.json').read_text()) if (Path(bundle)/'training.json').is_file() else None
    image_grid(np.concatenate([*shown, real[:10].numpy()]), 10).save(out/'super_resolution.png')
    (out/'super_resolution.json').write_text(json.dumps(dict(n=n, rows=rows, floor_of_halves=float(kernel_distance(*half)), training=training, torch=torch.__version__, date=time.strftime('%Y-%m-%d'), command=f'python tools/measure_super_resolution.py {bundle} {n}'), indent=1)+'\n')

if __name__=='__main__': main(*sys.argv[1:])
