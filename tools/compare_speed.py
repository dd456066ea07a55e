"""How fast are our networks beside others of the same cost? `pip install -e '.[bench]' && python tools/compare_speed.py [ROUNDS]`

One training step (forward, backward, AdamW) and one forward pass, batch 64, 3 x 32 x 32, float32. The peers' widths are such that a forward pass costs as many operations as
ours, within 5 %. All networks take turns in one run; the figures are medians over the rounds, and ratios are medians of the ratios within a round.
Each side is used as its own examples use it: ours with weights in `channels_last` and `adamw` of the library, the others with torch's defaults (for AdamW too).
Writes `nbs/images/speed.json`, which the notebook of experts shows.
"""
import json, os, platform, resource, statistics, subprocess, sys, time, warnings
from pathlib import Path
import torch, torch.nn.functional as F
from torch import nn
from torch.profiler import ProfilerActivity, profile
from meme_nb.experts import UNet, count_flops, count_params
from meme_nb.training import keep_memory

B, ROUNDS = 64, 9
SIZES = dict(default=dict(ours={}, diffusers=(16,24,40,48), denoising_diffusion_pytorch=(14,16)),
             larger=dict(ours=dict(mult=(1,3), depth=(2,3)), diffusers=(32,56,64,64), denoising_diffusion_pytorch=(28,26)))

class Sample(nn.Module):
    "diffusers wraps its result"
    def __init__(self, m): super().__init__(); self.m = m
    def forward(self, x, t, cond=None): return self.m(x, t).sample

def diffusers_unet(channels):
    "The layout of DDPM's network for CIFAR-10, narrower"
    from diffusers import UNet2DModel
    down,up = ('DownBlock2D','AttnDownBlock2D','DownBlock2D','DownBlock2D'),('UpBlock2D','UpBlock2D','AttnUpBlock2D','UpBlock2D')
    return Sample(UNet2DModel(sample_size=32, in_channels=3, out_channels=3, block_out_channels=channels, norm_num_groups=8, down_block_types=down, up_block_types=up))

def ddpm_pytorch_unet(dim, dim_head):
    "As in its README, narrower"
    from denoising_diffusion_pytorch import Unet
    return Unet(dim, dim_mults=(1,2,4,8), attn_dim_head=dim_head)

def networks(ours, diffusers, denoising_diffusion_pytorch):
    "All that take turns, at one size"
    def net(width, mix): return UNet(3, width, mix=mix, **ours).to(memory_format=torch.channels_last)
    return dict(conv_64=net(64, 1.), iunet_64=net(64, .5), diffusers=diffusers_unet(diffusers), denoising_diffusion_pytorch=ddpm_pytorch_unet(*denoising_diffusion_pytorch),
                conv_32=net(32, 1.), iunet_32=net(32, .5))

class Arm:
    "A network, its optimiser, and what was measured"
    def __init__(self, m, x, t):
        self.m,self.x,self.t = m,x,t
        self.opt = torch.optim.AdamW(m.parameters(), lr=1e-4, **(dict(fused=True) if isinstance(m, UNet) else {}))
        self.flops,self.params,self.times = count_flops(m, (3,32,32)),count_params(m),dict(train=[], forward=[])

    def train(self): F.mse_loss(self.m(self.x, self.t), self.x).backward(); self.opt.step(); self.opt.zero_grad()
    def forward(self):
        with torch.no_grad(): self.m(self.x, self.t)
    def turn(self):
        for k in self.times: start = time.perf_counter(); getattr(self, k)(); self.times[k].append(time.perf_counter()-start)

def matmul(n=2048, tries=5):
    "The fastest of a few matrix products, in GFLOP/s"
    a,b,best = torch.randn(n, n),torch.randn(n, n),1e9
    for _ in range(tries): start = time.perf_counter(); a@b; best = min(best, time.perf_counter()-start)
    return 2*n**3/best/1e9

def kept(rounds):
    "In a fresh process, what `keep_memory` saves: time of a training step after, as a share of the time before; and pages that the system clears in a round"
    torch.manual_seed(0); x,t = torch.randn(B, 3, 32, 32),torch.randint(0, 1000, (B,)); arms = {f'conv_{w}': Arm(UNet(3, w, mix=1.).to(memory_format=torch.channels_last), x, t) for w in (64,32)}
    def look():
        for i in range(rounds+1):
            if i==1: pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for a in arms.values(): a.turn()
        out = {k: statistics.median(a.times['train'][1:]) for k,a in arms.items()}; [a.times['train'].clear() for a in arms.values()]
        return out,(resource.getrusage(resource.RUSAGE_SELF).ru_minflt-pages)//rounds
    (before,pages),_ = look(),keep_memory(); after,then = look()
    return dict(time={k: round(after[k]/before[k], 3) for k in arms}, pages=[pages,then])

def where(a, steps=5):
    "Share of a training step by kind of work"
    kinds = {'convolution, back':['aten::convolution_backward'], 'convolution':['aten::mkldnn_convolution'], 'norms':['aten::native_group_norm','aten::native_group_norm_backward'], 'activations':['aten::silu','aten::silu_backward']}
    with profile(activities=[ProfilerActivity.CPU]) as p: [a.train() for _ in range(steps)]
    spent = {e.key: e.self_cpu_time_total for e in p.key_averages()}; total = sum(spent.values())
    return {k: round(sum(spent[o] for o in ops)/total, 3) for k,ops in kinds.items()}

def compare(size, rounds=ROUNDS):
    torch.manual_seed(0); x,t = torch.randn(B, 3, 32, 32),torch.randint(0, 1000, (B,)); arms = {k: Arm(m, x, t) for k,m in networks(**SIZES[size]).items()}; peak = []
    costs = [arms[k].flops for k in ('conv_64','iunet_64','diffusers','denoising_diffusion_pytorch')]; assert max(costs)<=1.05*min(costs), costs
    for i in range(rounds+1):
        for a in arms.values(): a.turn()
        peak.append(matmul())
    med = lambda o: statistics.median(o[1:])                             # the first round allocates
    work = lambda a, k: a.flops*B*(3 if k=='train' else 1)/1e9           # backward counts twice
    rows = {n: dict(mflop=round(a.flops/1e6, 1), params=a.params, **{f'{k}_ms': round(1e3*med(a.times[k]), 1) for k in a.times}, **{f'{k}_gflops': round(work(a, k)/med(a.times[k]), 1) for k in a.times},
                    **{f'{k}_share_of_peak': round(med([work(a, k)/s/p for s,p in zip(a.times[k], peak)]), 3) for k in a.times}) for n,a in arms.items()}
    def ratio(a, b, k): return round(med([work(a, k)/s/(work(b, k)/u) for s,u in zip(a.times[k], b.times[k])]), 3)
    pairs = [(a, b) for a in ('conv_64','iunet_64') for b in ('diffusers','denoising_diffusion_pytorch')] + [('conv_32','conv_64'), ('iunet_32','iunet_64')]
    return dict(peak_gflops=round(med(peak), 1), networks=rows, step={k: where(arms[k]) for k in ('conv_64','conv_32')}, ratios={f'{a} / {b}': {k: ratio(arms[a], arms[b], k) for k in ('train','forward')} for a,b in pairs})

def main(rounds=ROUNDS):
    warnings.simplefilter('ignore')
    out = dict(command=f'python tools/compare_speed.py {rounds}', date=time.strftime('%Y-%m-%d'), torch=torch.__version__, threads=torch.get_num_threads(), machine=f'{os.cpu_count()} cores, {platform.machine()}',
               unit='GFLOP/s', batch=B, **{size: dict(ours=SIZES[size]['ours'], **compare(size, rounds)) for size in SIZES}, keep_memory=json.loads(subprocess.run([sys.executable, __file__, 'kept', str(rounds)], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]))
    f = Path(__file__).parent.parent/'nbs'/'images'/'speed.json'
    f.write_text(json.dumps(out, indent=1)+'\n'); print(f.read_text())

if __name__=='__main__': print(json.dumps(kept(int(sys.argv[2])))) if 'kept' in sys.argv else main(*map(int, sys.argv[1:]))
