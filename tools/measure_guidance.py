"""What guidance does to the fashion bundle: `python tools/measure_guidance.py [N]`

Writes nbs/images/guidance.json: for several scales, how many of N samples the frozen classifier takes for the class that was asked for, and their
Fréchet distance; and which classes come without asking. And nbs/images/fashion.png: a row for each class.
"""
import json, sys, time
from pathlib import Path
import torch
from meme_nb.data import fashion_mnist, image_grid, to_float
from meme_nb.generate import CostReport, generate
from meme_nb.metrics import fashion_classifier, fd_report
from meme_nb.model import MEME

images = Path(__file__).parent.parent/'nbs'/'images'
scales = [1., 1.5, 2., 3., 4.]

def classes(x):
    "What the classifier takes images for"
    net = fashion_classifier()
    with torch.no_grad(): return torch.cat([net(o).argmax(1) for o in to_float(x).split(250)])

def measure(model, n, g):
    with CostReport(model) as cost: x = generate(model, n, guidance=g, steps=20)
    return dict(guidance=g, accuracy=(classes(x)==torch.arange(n)%10).float().mean().item(), **fd_report(x, fashion_mnist('test'), fashion_mnist('train')), seconds=round(cost.total, 1), overhead=round(cost.overhead, 3))

def main(n=2000):
    model = MEME.load('fashion'); rows = [measure(model, n, g) for g in scales]
    interval = measure(model, n, lambda t: 2. if 200<=t<800 else 1.); interval['guidance'] = '2 for t in [200, 800)'
    with CostReport(model) as cost: generate(model, 64, steps=20)
    free = classes(generate(model, n, cond='none', steps=20)).bincount(minlength=10)/n; real = (classes(fashion_mnist('test').x)==fashion_mnist('test').y).float().mean().item()
    facts = dict(n=n, rows=rows+[interval], overhead_of_64_images=round(cost.overhead, 4), seconds_for_64_images=round(cost.total, 2), unconditional_shares=[round(o, 3) for o in free.tolist()], accuracy_on_real=real, steps=20, threads=torch.get_num_threads(), torch=torch.__version__, date=time.strftime('%Y-%m-%d'), command=f'python tools/measure_guidance.py {n}')
    (images/'guidance.json').write_text(json.dumps(facts, indent=1)+'\n'); print(json.dumps(facts, indent=1))
    best = min(rows, key=lambda r: next(v for k,v in r.items() if k.startswith('FD')))['guidance']
    image_grid(generate(model, 100, seed=1000, guidance=best).reshape(10,10,32,32,1).swapaxes(0,1).reshape(100,32,32,1), 10).save(images/'fashion.png')

if __name__=='__main__': main(*map(int, sys.argv[1:]))
