"""Many runs as one: methods x environments x seeds from a file, on one machine or on many.

| module | what it has |
|---|---|
| `file.py` | the file: its sections as flags, each with its place |
| `rows.py` | the runs that it asks for, each as the words of one command |
| `check.py` | everything that can be wrong with them, before anything is trained |
| `folder.py` | what a run's folder says of it |
| `elsewhere.py` | whether another machine is at it |
| `attempt.py`, `child.py` | one process that trains a run or goes on with it |
| `local.py`, `on_ray.py` | where these processes are: here, or on a Ray cluster |
| `loop.py` | what is begun, tried again and given up |
| `progress.py` | what is shown meanwhile |
"""
