"""Inpainting beside simpler ways to fill: `pip install -e '.[bench]' && python tools/measure_inpainting.py [N]`

The middle 14 x 14 pixels of N test images of Fashion-MNIST are missing (N is at most 2,000). They are filled by the fashion bundle, with `repaint` and
without, and told the class or not; by the mean colour of the known pixels; and by OpenCV's methods of Telea and Navier-Stokes. Writes
nbs/images/inpainting.json and .png.
"""
import sys, time
from functools import partial
import cv2, numpy as np, torch
from meme_nb.data import fashion_mnist, image_grid
from meme_nb.generate import inpaint
from meme_nb.metrics import features, frechet_distance, kernel_distance
from meme_nb.model import MEME
from record import IMAGES, record


def by_mean(images, mask): return np.stack([np.where(mask[..., None], x[~mask].mean().round(), x).astype(np.uint8) for x in images])
def by_opencv(images, mask, how): return np.stack([cv2.inpaint(x[..., 0], mask.astype(np.uint8), 3, how)[..., None] for x in images])

def ways(model, labels):
    "Name to a function that fills"
    def ours(**kw): return lambda x, mask: inpaint(model, x, mask, **kw)
    return {'mean of the known pixels': by_mean,
            'Telea': partial(by_opencv, how=cv2.INPAINT_TELEA),
            'Navier-Stokes': partial(by_opencv, how=cv2.INPAINT_NS),
            'fashion bundle, DPM-Solver++, 20 steps': ours(sampler='dpmpp_2m', cond='none'),
            'fashion bundle, repaint 5 × 20': ours(cond='none'),
            'fashion bundle, repaint 5 × 20, told the class': ours(cond=labels)}

def row(name, y, seconds, real):
    f = features(y)
    kd = kernel_distance(f, real, paired=True)
    return dict(way=name, kernel_distance=float(kd), se=kd.se, frechet_distance=float(frechet_distance(f, real)), seconds=round(seconds, 1))

def main(n=1000):
    test = fashion_mnist('test')
    test = test[torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:n]]
    x, mask, real, rows = test.x.numpy(), np.zeros((32, 32), bool), features(test.x), []
    mask[9:23, 9:23] = True
    shown = [np.where(mask[..., None], 128, x[:10]).astype(np.uint8)]
    for name, fill in ways(MEME.load('fashion'), test.y).items():
        start = time.perf_counter()
        y = fill(x, mask)
        rows.append(row(name, y, time.perf_counter()-start, real))
        assert (y[:, ~mask]==x[:, ~mask]).all(), 'known pixels must stay'
        shown.append(y[:10])
        print(rows[-1], flush=True)
    half = torch.randperm(n, generator=torch.Generator().manual_seed(1))
    image_grid(np.concatenate([*shown, x[:10]]), 10).save(IMAGES/'inpainting.png')
    record('inpainting', n=n, rows=rows, floor_of_halves=float(kernel_distance(real[half[:n//2]], real[half[n//2:]])))


if __name__=='__main__': main(*map(int, sys.argv[1:]))
