"""How fast are our networks beside others of the same cost? `pip install -e '.[bench]' && python tools/compare_speed.py [ROUNDS]`

One training step (forward, backward, AdamW) and one forward pass, batch 64, 3 x 32 x 32, float32. The peers' widths are such that a forward pass costs as
many operations as ours, within 5 %. All networks take turns in one run; the figures are medians over the rounds, and ratios are medians of the ratios
within a round. Each side is used as its own examples use it: ours with weights in `channels_last` and `adamw` of the library, the others with torch's
defaults (for AdamW too). Writes nbs/images/speed.json, which the notebook of experts shows.
"""
import json, resource, statistics, subprocess, sys, time, warnings
import torch, torch.nn.functional as F
from torch import nn
from torch.profiler import ProfilerActivity, profile
from meme_nb.experts import UNet, count_flops, count_params
from meme_nb.training import keep_memory
from record import record

B, ROUNDS = 64, 9
SIZES = dict(default=dict(ours={}, diffusers=(16,24,40,48), denoising_diffusion_pytorch=(14,16)),
             larger=dict(ours=dict(mult=(1,3), depth=(2,3)), diffusers=(32,56,64,64), denoising_diffusion_pytorch=(28,26)))


# ---- networks -------------------------------------------------------------------------------------------------------

class Sample(nn.Module):
    "diffusers wraps its result"
    def __init__(self, m):
        super().__init__()
        self.m = m
    def forward(self, x, t, cond=None): return self.m(x, t).sample

def diffusers_unet(channels):
    "The layout of DDPM's network for CIFAR-10, narrower"
    from diffusers import UNet2DModel
    down = 'DownBlock2D', 'AttnDownBlock2D', 'DownBlock2D', 'DownBlock2D'
    up = 'UpBlock2D', 'UpBlock2D', 'AttnUpBlock2D', 'UpBlock2D'
    return Sample(UNet2DModel(sample_size=32, in_channels=3, out_channels=3, block_out_channels=channels, norm_num_groups=8,
                              down_block_types=down, up_block_types=up))

def ddpm_pytorch_unet(dim, dim_head):
    "As in its README, narrower"
    from denoising_diffusion_pytorch import Unet
    return Unet(dim, dim_mults=(1, 2, 4, 8), attn_dim_head=dim_head)

def networks(ours, diffusers, denoising_diffusion_pytorch):
    "All that take turns, at one size; the first four cost the same"
    def net(width, mix): return UNet(3, width, mix=mix, **ours).to(memory_format=torch.channels_last)
    return dict(conv_64=net(64, 1.), iunet_64=net(64, .5), diffusers=diffusers_unet(diffusers),
                denoising_diffusion_pytorch=ddpm_pytorch_unet(*denoising_diffusion_pytorch), conv_32=net(32, 1.), iunet_32=net(32, .5))


# ---- what is measured -----------------------------------------------------------------------------------------------

class Arm:
    "A network, its optimiser, and what was measured"
    def __init__(self, m, x, t):
        self.m, self.x, self.t = m, x, t
        self.opt = torch.optim.AdamW(m.parameters(), lr=1e-4, **(dict(fused=True) if isinstance(m, UNet) else {}))
        self.flops, self.params, self.times = count_flops(m, (3, 32, 32)), count_params(m), dict(train=[], forward=[])

    def train(self):
        F.mse_loss(self.m(self.x, self.t), self.x).backward()
        self.opt.step()
        self.opt.zero_grad()

    def forward(self):
        with torch.no_grad(): self.m(self.x, self.t)

    def turn(self):
        for kind in self.times: self.times[kind].append(clock(getattr(self, kind)))

    def work(self, kind): return self.flops*B*(3 if kind=='train' else 1)/1e9           # GFLOP; a backward pass counts twice
    def rate(self, kind): return [self.work(kind)/s for s in self.times[kind]]          # GFLOP/s, each round

def clock(f):
    start = time.perf_counter()
    f()
    return time.perf_counter()-start

def arms(nets):
    torch.manual_seed(0)
    x, t = torch.randn(B, 3, 32, 32), torch.randint(0, 1000, (B,))
    return {name: Arm(m, x, t) for name, m in nets().items()}

def median(o): return statistics.median(o[1:])                                          # the first round allocates

def matmul(n=2048, tries=5):
    "The fastest of a few matrix products, in GFLOP/s"
    a, b = torch.randn(n, n), torch.randn(n, n)
    return 2*n**3/min(clock(lambda: a@b) for _ in range(tries))/1e9

def where(a, steps=5):
    "Share of a training step by kind of work"
    kinds = {'convolution, back': ['aten::convolution_backward'], 'convolution': ['aten::mkldnn_convolution'],
             'norms': ['aten::native_group_norm', 'aten::native_group_norm_backward'], 'activations': ['aten::silu', 'aten::silu_backward']}
    with profile(activities=[ProfilerActivity.CPU]) as p:
        for _ in range(steps): a.train()
    spent = {e.key: e.self_cpu_time_total for e in p.key_averages()}
    return {k: round(sum(spent[o] for o in ops)/sum(spent.values()), 3) for k, ops in kinds.items()}

def compare(size, rounds=ROUNDS):
    "All networks of a size in turns: their rows, and the ratios of their rates"
    all_of_them, peak = arms(lambda: networks(**SIZES[size])), []
    costs = [a.flops for a in list(all_of_them.values())[:4]]
    if max(costs)>1.05*min(costs): raise SystemExit(f'The first four networks are to cost the same within 5 %, but cost {costs}.')
    for _ in range(rounds+1):
        for a in all_of_them.values(): a.turn()
        peak.append(matmul())
    def row(a):
        each = {}
        for kind in a.times:
            of_peak = median([r/p for r, p in zip(a.rate(kind), peak)])
            each |= {f'{kind}_ms': round(1e3*median(a.times[kind]), 1), f'{kind}_gflops': round(median(a.rate(kind)), 1), f'{kind}_share_of_peak': round(of_peak, 3)}
        return dict(mflop=round(a.flops/1e6, 1), params=a.params, **each)
    def ratio(a, b): return {k: round(median([u/v for u, v in zip(all_of_them[a].rate(k), all_of_them[b].rate(k))]), 3) for k in ('train', 'forward')}
    pairs = [(a, b) for a in ('conv_64', 'iunet_64') for b in ('diffusers', 'denoising_diffusion_pytorch')]
    return dict(peak_gflops=round(median(peak), 1), networks={n: row(a) for n, a in all_of_them.items()},
                step={k: where(all_of_them[k]) for k in ('conv_64', 'conv_32')},
                ratios={f'{a} / {b}': ratio(a, b) for a, b in [*pairs, ('conv_32', 'conv_64'), ('iunet_32', 'iunet_64')]})


# ---- the system's memory --------------------------------------------------------------------------------------------

def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def kept(rounds):
    "What `keep_memory` saves: time of a training step after, as a share of the time before; and pages that the system clears in a round"
    both = arms(lambda: {f'conv_{w}': UNet(3, w, mix=1.).to(memory_format=torch.channels_last) for w in (64, 32)})
    def look():
        for a in both.values(): a.times = dict(train=[], forward=[])
        for i in range(rounds+1):
            if i==1: pages = faults()
            for a in both.values(): a.turn()
        return {k: median(a.times['train']) for k, a in both.items()}, (faults()-pages)//rounds
    before, pages = look()
    keep_memory()
    after, then = look()
    return dict(time={k: round(after[k]/before[k], 3) for k in both}, pages=[pages, then])

def main(rounds=ROUNDS):
    warnings.simplefilter('ignore')
    sizes = {size: dict(ours=SIZES[size]['ours'], **compare(size, rounds)) for size in SIZES}
    said = subprocess.check_output([sys.executable, __file__, 'kept', str(rounds)], text=True)      # in a fresh process
    record('speed', unit='GFLOP/s', batch=B, **sizes, keep_memory=json.loads(said.splitlines()[-1]))


if __name__=='__main__':
    if sys.argv[1:2]==['kept']: print(json.dumps(kept(int(sys.argv[2]))))
    else: main(*map(int, sys.argv[1:]))
