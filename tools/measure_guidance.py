"""What guidance does to the fashion bundle: `python tools/measure_guidance.py [N]`

Writes nbs/images/guidance.json: for several scales, how many of N samples the frozen classifier takes for the class that was asked for, and their
Fréchet distance to as many test images (there are 2,000); and which classes come without asking. And nbs/images/fashion.png: a row for each class.
"""
import sys
import torch
from meme_nb.data import fashion_mnist, image_grid, to_float
from meme_nb.generate import CostReport, generate
from meme_nb.metrics import fashion_classifier, fd_report
from meme_nb.model import MEME
from record import IMAGES, record

SCALES, STEPS = [1., 1.5, 2., 3., 4.], 20


def classes(x):
    "What the classifier takes images for"
    net = fashion_classifier()
    with torch.no_grad(): return torch.cat([net(o).argmax(1) for o in to_float(x).split(250)])

def share(x, y): return (classes(x)==y).float().mean().item()

def measure(model, n, g, name=None):
    "Images with the guidance `g`, each class in turn"
    with CostReport(model) as cost: x = generate(model, n, guidance=g, steps=STEPS)
    fd = fd_report(x, fashion_mnist('test')[torch.arange(n)], fashion_mnist('train'))
    return dict(guidance=name or g, accuracy=share(x, torch.arange(n)%10), **fd, seconds=round(cost.total, 1), overhead=round(cost.overhead, 3))

def main(n=2000):
    model, test = MEME.load('fashion'), fashion_mnist('test')
    rows = [measure(model, n, g) for g in SCALES]
    best = min(rows, key=lambda r: next(v for k, v in r.items() if k.startswith('FD')))['guidance']
    rows.append(measure(model, n, lambda t: 2. if 200<=t<800 else 1., '2 for t in [200, 800)'))
    with CostReport(model) as cost: generate(model, 64, steps=STEPS)
    free = classes(generate(model, n, cond='none', steps=STEPS)).bincount(minlength=10)/n
    record('guidance', n=n, steps=STEPS, rows=rows, overhead_of_64_images=round(cost.overhead, 4), seconds_for_64_images=round(cost.total, 2),
           unconditional_shares=[round(o, 3) for o in free.tolist()], accuracy_on_real=share(test.x, test.y))
    x = generate(model, 100, seed=1000, guidance=best)                      # their classes take turns, and a row is to have one
    image_grid(x.reshape(10, 10, *x.shape[1:]).swapaxes(0, 1).reshape(x.shape), 10).save(IMAGES/'fashion.png')


if __name__=='__main__': main(*map(int, sys.argv[1:]))
