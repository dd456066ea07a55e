"""Does a run that is killed again and again end as if nothing had happened? `python tools/torture_resume.py [KILLS] [SEED]`

One run of `meme_train` from start to end; and one that is killed (SIGKILL) at random moments, so many times, and resumed each time: the bytes of both bundles are compared.
Writes `nbs/images/torture.json`, which the notebook of the command line shows.
"""
import json, os, platform, random, signal, subprocess, sys, tempfile, time
from pathlib import Path
import torch

RUN = dict(width=8, size=16, bs=16, steps=3000, checkpoint_every=25)

def start(out, resume=False, **o):
    "`meme_train` in a process of its own"
    flags = ['--resume'] if resume else ['--force', *(str(v) for k,v in {**RUN, **o}.items() for v in (f'--{k}', v))]
    return subprocess.Popen([Path(sys.executable).with_name('meme_train'), '--out', out, '--device', 'cpu', *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

def finish(p):
    said = p.communicate()[0].decode()
    if p.returncode: raise RuntimeError(said)

def weights(out): return {f.name: f.read_bytes() for f in Path(out).glob('*.safetensors')}

def torture(kills, seed=0, **o):
    "Whether the bytes are the same; and at which steps the kills found the run"
    rng,found = random.Random(seed),[]
    with tempfile.TemporaryDirectory() as d:
        whole,killed = Path(d)/'whole',Path(d)/'killed'; began = time.monotonic(); p = start(whole, **o)
        while not any((whole/'checkpoints').glob('step_*')) and p.poll() is None: time.sleep(.01)
        first = time.monotonic()-began; finish(p); took = time.monotonic()-began
        for k in range(kills):
            p = start(killed, resume=(killed/'run.json').exists(), **o)
            # some while it starts, most while it trains; few enough steps each time for all of them to meet a run at work
            time.sleep(rng.random()*first if k%4==3 else first+rng.random()*1.6*(took-first)/kills); p.send_signal(signal.SIGKILL); p.communicate()
            found.append(max([int(f.name[5:]) for f in (killed/'checkpoints').glob('step_*')], default=0))
        finish(start(killed, resume=(killed/'run.json').exists(), **o)); return dict(same_bytes=weights(whole)==weights(killed), files=len(weights(whole)), checkpoint_at_each_kill=found, seconds_of_a_whole_run=round(took, 1))

def main(kills=20, seed=0):
    rows = {name: torture(kills, seed, **o) for name,o in dict(float32={}, bfloat16=dict(precision='bfloat16', steps=1000), learned_router=dict(router='learned', steps=1000)).items()}
    out = dict(command=f'python tools/torture_resume.py {kills} {seed}', date=time.strftime('%Y-%m-%d'), torch=torch.__version__, machine=f'{os.cpu_count()} cores, {platform.machine()}', kills=kills, run=RUN, rows=rows)
    f = Path(__file__).parent.parent/'nbs'/'images'/'torture.json'
    f.write_text(json.dumps(out, indent=1)+'\n'); print(f.read_text())

if __name__=='__main__': main(*map(int, sys.argv[1:]))
