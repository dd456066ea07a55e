"""Do schedules and samplers agree with diffusers, and what does a step cost? `python tools/compare_diffusers.py`

Largest differences over whole trajectories with an exact denoiser, and the time of a step without the network. Writes nbs/images/diffusers.json,
which the notebook of samplers shows; `tests/test_diffusers.py` asserts the same figures.
"""
import statistics, time
import diffusers as D, numpy as np, torch
from meme_nb.samplers import ddim, ddpm, dpmpp_2m, euler, heun
from meme_nb.schedulers import cosine_schedule, flow_schedule, linear_schedule, scaled_linear_schedule, sigmoid_schedule, zero_terminal_snr
from record import record

COMMON, BETAS = dict(prediction_type='sample'), dict(beta_start=1e-4, beta_end=.02)
LINEAR = linear_schedule()
START = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))

def noise(): return torch.Generator().manual_seed(1)

def denoiser(schedule):
    "Exact for a mixture of two Gaussians, each pixel on its own"
    weights, mu, c = torch.tensor([[.4, .6], [-.6, .5], [.15, .25]])
    def denoise(x, t):
        a, s = schedule.at(t, x)
        sd, off = (a**2*c**2+s**2).sqrt(), x[..., None]-a*mu
        of_each = (weights.log()-sd.log()-(off/sd)**2/2).softmax(-1)
        return (of_each*(mu+a*c**2/sd**2*off)).sum(-1)
    return denoise

def ours(sampler, schedule, ts, x=START, denoise=None, **kw):
    "The state before every step, and the end"
    states = []
    end = sampler(denoise or denoiser(schedule), x, schedule, ts, callback=lambda o: states.append(o['x']), progress=False, **kw)
    return [*states, end]

def theirs(scheduler, predict, x, per_step=1, **kw):
    "The same from diffusers: `predict(x, t)` gives what its `step` takes; one state for each `per_step` calls of it"
    states, scheduler.is_scale_input_called = [], True         # the images are scaled in `predict`
    for i, t in enumerate(scheduler.timesteps):
        if i%per_step==0: states.append(x)
        x = scheduler.step(predict(x, t), t, x, **kw).prev_sample
    return [*states, x]

def gap(a, b):
    "Largest difference between two trajectories of equal length"
    assert len(a)==len(b), (len(a), len(b))
    return max((p-q).abs().max().item() for p, q in zip(a, b))

def same_steps(scheduler, n, spacing='trailing', per_step=1):
    "Our time-steps, which must be those of a scheduler that was set to `n`"
    scheduler.set_timesteps(n)
    ts = LINEAR.timesteps(n, spacing)
    assert ts.tolist()==scheduler.timesteps[::per_step].tolist(), (spacing, n)
    return ts


# ---- tables --------------------------------------------------------------------------------------------------------

def tables():
    "Largest difference of alpha-bar, the squared signal level"
    pairs = {'linear': (LINEAR, {}), 'scaled_linear': (scaled_linear_schedule(), dict(beta_start=.00085, beta_end=.012)),
             'squaredcos_cap_v2': (cosine_schedule(), {}), 'sigmoid': (sigmoid_schedule(), {})}
    def apart(schedule, scheduler): return (schedule.alpha**2-scheduler.alphas_cumprod).abs().max().item()
    found = {f'alpha-bar, {k}': apart(s, D.DDPMScheduler(beta_schedule=k, **kw)) for k, (s, kw) in pairs.items()}
    return found | {'alpha-bar, zero terminal SNR': apart(zero_terminal_snr(LINEAR), D.DDIMScheduler(rescale_betas_zero_snr=True))}


# ---- trajectories --------------------------------------------------------------------------------------------------

def ddpm_gap(n, spacing, variance):
    s = D.DDPMScheduler(variance_type=f'fixed_{variance}', clip_sample=False, timestep_spacing=spacing, **COMMON)
    ts = same_steps(s, n, spacing)
    a, b = ours(ddpm, LINEAR, ts, variance=variance, generator=noise()), theirs(s, denoiser(LINEAR), START, generator=noise())
    # diffusers adds noise of the large variance to the finished image unless the last time-step is 0
    return gap(a[:-1], b[:-1]) if variance=='large' and ts[-1]>0 else gap(a, b)

def ddpm_moments_gap(n):
    "Mean and variance of every single step, from the same x_t"
    s = D.DDPMScheduler(variance_type='fixed_small', clip_sample=False, timestep_spacing='trailing', **COMMON)
    d, ts, worst = denoiser(LINEAR), same_steps(s, n).tolist(), 0
    for x, t, prev in zip(ours(ddpm, LINEAR, ts, generator=noise()), ts, ts[1:]):
        mean, var = LINEAR.posterior(d(x, t), x, t, prev)
        z, step = torch.randn(x.shape, generator=noise()), s.step(d(x, t), t, x, generator=noise()).prev_sample
        worst = max(worst, (step-s._get_variance(t).sqrt()*z-mean).abs().max().item(), (s._get_variance(t)-var).abs().item())
    return worst

def ddpm_learned_gap(n):
    "All n steps of a schedule with T = n, since diffusers interpolates towards the variance of one step of T"
    short, d = linear_schedule(n, 1e-3, .2), denoiser(linear_schedule(n, 1e-3, .2))
    v = torch.linspace(-1, 1, START.numel()).reshape(START.shape)
    s = D.DDPMScheduler(n, beta_start=1e-3, beta_end=.2, variance_type='learned_range', clip_sample=False, **COMMON)
    s.set_timesteps(n)
    d.with_variance = lambda x, t: (denoiser(short)(x, t), v)
    mine = ours(ddpm, short, range(n-1, -1, -1), denoise=d, variance='learned', generator=noise())
    return gap(mine, theirs(s, lambda x, t: torch.cat([d(x, t.item()), v], 1), START, generator=noise()))

def ddim_gap(n, spacing, eta=0.):
    s = D.DDIMScheduler(clip_sample=False, timestep_spacing=spacing, **COMMON)
    # diffusers steps T // n back whatever the spacing; on linspace that is not the next time-step, so there its own levels are asked for
    if spacing=='linspace': return ddim_linspace_gap(s, n)
    ts = same_steps(s, n, spacing).tolist()
    return gap(ours(ddim, LINEAR, ts, eta=eta, generator=noise()), theirs(s, denoiser(LINEAR), START, eta=eta, generator=noise()))

def ddim_linspace_gap(s, n):
    "Each of diffusers' steps, from t to t - T // n, against ours between the same two levels"
    s.set_timesteps(n)
    d, x, back, worst = denoiser(LINEAR), START, 1000//n, 0
    for t in s.timesteps.tolist():
        mine = ours(ddim, LINEAR, [t, t-back] if t>=back else [t], x=x)[1]
        x = s.step(d(x, t), t, x).prev_sample
        worst = max(worst, (x-mine).abs().max().item())
    return worst

def scaled_gap(sampler, make, n, per_step=1):
    "Samplers that divide the images by alpha"
    s, d = make(timestep_spacing='trailing', **BETAS, **COMMON), denoiser(LINEAR)
    ts = same_steps(s, n, per_step=per_step)
    def alpha(t): return LINEAR.at(int(t), START)[0]
    end = theirs(s, lambda x, t: d(x*alpha(t), int(t)), START/alpha(ts[0]), per_step)
    return gap(ours(sampler, LINEAR, ts), [x*alpha(t) for x, t in zip(end, ts)]+end[-1:])

def dpmpp_gap(n):
    s = D.DPMSolverMultistepScheduler(algorithm_type='dpmsolver++', solver_order=2, solver_type='midpoint', final_sigmas_type='zero',
                                      timestep_spacing='trailing', **BETAS, **COMMON)
    ts = same_steps(s, n)
    return gap(ours(dpmpp_2m, LINEAR, ts), theirs(s, lambda x, t: denoiser(LINEAR)(x, t.item()), START))

def flow_gap(n, shift):
    s, f = D.FlowMatchEulerDiscreteScheduler(shift=shift), flow_schedule(shift=shift)
    s.set_timesteps(sigmas=np.linspace(1, 1/n, n))
    ts = f.timesteps(n)
    assert torch.allclose(s.sigmas[:-1], f.sigma[ts], atol=1e-6)
    index = {t.item(): k for t, k in zip(s.timesteps, ts.tolist())}
    def velocity(x, t):
        k = index[t.item()]
        x0 = denoiser(f)(x, k)
        return f.target(x0, f.to_eps(x0, x, k, 'x0'), k, 'flow')
    return gap(ours(euler, f, ts), theirs(s, velocity, START))

def cases():
    "Name and function of every comparison of trajectories"
    for n in 10, 20, 50:
        for spacing in 'trailing', 'leading':
            for variance in 'small', 'large': yield f'DDPM, {variance} variance, {spacing}, {n}', lambda n=n, s=spacing, v=variance: ddpm_gap(n, s, v)
        yield f'DDPM, mean and variance of each step, {n}', lambda n=n: ddpm_moments_gap(n)
        yield f'DDPM, learned variance, {n}', lambda n=n: ddpm_learned_gap(n)
        for spacing in 'trailing', 'leading', 'linspace': yield f'DDIM, {spacing}, {n}', lambda n=n, s=spacing: ddim_gap(n, s)
        yield f'DDIM, eta 0.5, {n}', lambda n=n: ddim_gap(n, 'trailing', .5)
        yield f'Euler, {n}', lambda n=n: scaled_gap(euler, D.EulerDiscreteScheduler, n)
        yield f'Heun, {n}', lambda n=n: scaled_gap(heun, D.HeunDiscreteScheduler, n, 2)
        yield f'DPM-Solver++(2M), {n}', lambda n=n: dpmpp_gap(n)
        for shift in 1., 3.: yield f'flow matching Euler, shift {shift:g}, {n}', lambda n=n, s=shift: flow_gap(n, s)


# ---- what a step costs ---------------------------------------------------------------------------------------------

def clock(f):
    began = time.perf_counter()
    f()
    return time.perf_counter()-began

def overhead(n=200, repeat=9):
    "Microseconds of a step without the network, batch 1, 32 x 32, runs of `n` steps with their set-up: medians, both sides in turns on one thread"
    x, x0, kw, ts = torch.randn(1, 1, 32, 32), torch.zeros(1, 1, 32, 32), dict(timestep_spacing='trailing', **COMMON), LINEAR.timesteps(n)
    pairs = dict(ddpm=(ddpm, D.DDPMScheduler(clip_sample=False, **kw)),
                 ddim=(ddim, D.DDIMScheduler(clip_sample=False, **kw)),
                 euler=(euler, D.EulerDiscreteScheduler(**kw)),
                 heun=(heun, D.HeunDiscreteScheduler(**kw)),
                 dpmpp_2m=(dpmpp_2m, D.DPMSolverMultistepScheduler(final_sigmas_type='zero', **kw)))
    threads, out = torch.get_num_threads(), {}
    torch.set_num_threads(1)
    for name, (f, s) in pairs.items():
        def mine(): f(lambda x, t: x0, x, LINEAR, ts, progress=False)
        def other():
            s.set_timesteps(n)
            s.is_scale_input_called, y = True, x              # or some of them warn at every step, and that takes time
            for t in s.timesteps: y = s.step(x0, t, y).prev_sample
        a, b = (1e6*statistics.median(o)/n for o in zip(*[(clock(mine), clock(other)) for _ in range(repeat)]))
        out[name] = dict(ours_us=round(a, 1), diffusers_us=round(b, 1), ratio=round(a/b, 3))
    torch.set_num_threads(threads)
    return out

def main():
    agreement = tables() | {name: f() for name, f in cases()}
    record('diffusers', diffusers=D.__version__, agreement={k: float(f'{v:.2g}') for k, v in agreement.items()}, overhead=overhead())


if __name__=='__main__': main()
