"""One thread for torch: these nets are small, and a second thread costs more than it brings."""

import torch

torch.set_num_threads(1)
