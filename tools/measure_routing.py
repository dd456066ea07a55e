"""What does it cost to have several experts? `python tools/measure_routing.py`

Time: a batch through `MEME` against the bare experts, both in one run, alternating, medians. Memory: sampling from disk with one expert in memory, in a
fresh process. Writes nbs/images/routing.json, which the notebook of the model shows.
"""
import json, re, statistics, subprocess, sys, tempfile, time
from pathlib import Path
import torch
from meme_nb.experts import UNet, count_params, meme_experts
from meme_nb.generate import generate
from meme_nb.model import MEME
from meme_nb.router import IntervalRouter
from meme_nb.schedulers import cosine_schedule
from record import record


def model(experts, size): return MEME(experts, IntervalRouter(len(experts)), cosine_schedule(), 'v', size=size).eval()

def seconds(f):
    start = time.perf_counter()
    f()
    return time.perf_counter()-start

def ratio(f, g, n=200):
    "Median of f's time by g's, in pairs: what disturbs the machine disturbs both"
    for _ in range(3): f(); g()
    return round(statistics.median(seconds(f)/seconds(g) if i%2 else 1/(seconds(g)/seconds(f)) for i in range(n)), 4)

@torch.no_grad()
def overhead(width=32, batch=64):
    "One t; and t over all four experts"
    m, x = model(meme_experts(4, 3, width), (3, 32, 32)), torch.randn(batch, 3, 32, 32)
    one, spread = torch.full((batch,), 600), torch.randperm(1000, generator=torch.Generator().manual_seed(0))[:batch]
    owner = m.router.pick(spread)
    parts = [(m.experts[k], x[owner==k], spread[owner==k]) for k in range(4)]
    return dict(one_t=ratio(lambda: m(x, one), lambda: m.experts[2](x, one)), spread_t=ratio(lambda: m(x, spread), lambda: [e(*args) for e, *args in parts]))

def memory(key):
    "Bytes of this process: VmRSS now, VmHWM at most"
    return int(re.search(key+r':\s+(\d+)', Path('/proc/self/status').read_text())[1])*1024

def sample(folder, resident):
    "In a fresh process: peak of memory while sampling, above what a process has that has sampled before; and the images"
    generate(model([UNet(1, 8) for _ in range(4)], (1, 16, 16)), 2, steps=4)
    low = memory('VmRSS')
    Path('/proc/self/clear_refs').write_text('5')                                   # the peak starts anew
    images = generate(MEME.load(folder, resident=resident), 2, steps=8)
    print('\n'+json.dumps(dict(peak=memory('VmHWM')-low, images=images.tolist())))

def residents(width=192, depth=(4, 6)):
    "Peak memory by the number of residents, in units of one expert's weights"
    torch.manual_seed(0)
    experts = [UNet(1, width, mix=.5, depth=depth) for _ in range(4)]
    for e in experts: torch.nn.init.normal_(e.out.weight, std=.05)
    size = count_params(experts[0])*4
    with tempfile.TemporaryDirectory() as d:
        model(experts, (1, 16, 16)).save(d)
        def fresh(k): return json.loads(subprocess.check_output([sys.executable, __file__, 'sample', d, str(k)], text=True).splitlines()[-1])
        runs = {k: fresh(k) for k in (1, 2, 0)}
    return dict(weights_of_an_expert=size, same_images=all(r['images']==runs[0]['images'] for r in runs.values()),
                peak={k or 'all': round(r['peak']/size, 3) for k, r in runs.items()})

def main(): record('routing', overhead=overhead(), memory=residents())


if __name__=='__main__':
    if sys.argv[1:2]==['sample']: sample(sys.argv[2], int(sys.argv[3]) or None)
    else: main()
