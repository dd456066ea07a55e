"""Does a run that is killed again and again end as if nothing had happened? `python tools/torture_resume.py [KILLS] [SEED]`

One run of `meme_train` from start to end; and one that is killed (SIGKILL) at random moments, so many times, and resumed each time: the bytes of both
bundles are compared. Writes nbs/images/torture.json, which the notebook of the command line shows.
"""
import random, signal, subprocess, sys, tempfile, time
from pathlib import Path
from record import record

RUN = dict(width=8, size=16, bs=16, steps=3000, checkpoint_every=25)
ROWS = dict(float32={}, bfloat16=dict(precision='bfloat16', steps=1000), learned_router=dict(router='learned', steps=1000))


def start(out, resume=False, **o):
    "`meme_train` in a process of its own"
    flags = ['--resume'] if resume else ['--force', *(str(v) for k, v in {**RUN, **o}.items() for v in (f'--{k}', v))]
    command = [Path(sys.executable).with_name('meme_train'), '--out', out, '--device', 'cpu', *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

def finish(p):
    said = p.communicate()[0].decode()
    if p.returncode: raise RuntimeError(said)

def weights(out): return {f.name: f.read_bytes() for f in Path(out).glob('*.safetensors')}

def steps_done(out): return max([int(f.name[5:]) for f in (out/'checkpoints').glob('step_*')], default=0)

def undisturbed(out, **o):
    "Seconds until the first checkpoint, and of the whole run"
    began, p = time.monotonic(), start(out, **o)
    while not any((out/'checkpoints').glob('step_*')) and p.poll() is None: time.sleep(.01)
    first = time.monotonic()-began
    finish(p)
    return first, time.monotonic()-began

def torture(kills, seed=0, **o):
    "Whether the bytes are the same; and at which steps the kills found the run"
    rng, found = random.Random(seed), []
    with tempfile.TemporaryDirectory() as d:
        whole, killed = Path(d)/'whole', Path(d)/'killed'
        first, took = undisturbed(whole, **o)
        def go_on(): return start(killed, resume=(killed/'run.json').exists(), **o)
        for k in range(kills):
            p = go_on()
            # some while it starts, most while it trains; few enough steps each time for all of them to meet a run at work
            time.sleep(rng.random()*first if k%4==3 else first+rng.random()*1.6*(took-first)/kills)
            p.send_signal(signal.SIGKILL)
            p.communicate()
            found.append(steps_done(killed))
        finish(go_on())
        same, files = weights(whole)==weights(killed), len(weights(whole))
    return dict(same_bytes=same, files=files, checkpoint_at_each_kill=found, seconds_of_a_whole_run=round(took, 1))

def main(kills=20, seed=0): record('torture', kills=kills, run=RUN, rows={name: torture(kills, seed, **o) for name, o in ROWS.items()})


if __name__=='__main__': main(*map(int, sys.argv[1:]))
