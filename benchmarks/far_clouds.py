# SPDX-License-Identifier: Apache-2.0
"""What is found in the sensor's frame, beside what is found in the same cloud in UTM coordinates.

python -m benchmarks.far_clouds

Nobody tells where the sensor of the far cloud was. What is found of it differs by that, and not by rounding.
"""

from __future__ import annotations

import numpy as np

from sphmask_core import Segmenter
from sphmask_core.clouds.cloud import Cloud
from sphmask_core.placement import place
from sphmask_core.simulation.scenes import simulate_cloud, simulate_plain_room, simulate_plain_yard

UTM = np.array([4e5, 5.4e6, 100.0])
"""Meters."""
SCENES = {
    "tabletop": lambda: simulate_cloud(3),
    "rooms": lambda: simulate_plain_room(0).cloud,
    "street": lambda: simulate_plain_yard(0).cloud,
}
"""A simulated cloud for each preset."""
ALIKE = 0.99
"""IoU of masks that are nearly the same."""


def compare(segmenter: Segmenter, cloud: Cloud) -> tuple[int, np.ndarray, float]:
    """Returns the number of objects in the far cloud, the best IoU (I,) of each near one with these, and the
    median of the meters between the middles of their upright boxes."""
    far_xyz = cloud.xyz + UTM
    near, far = segmenter(cloud.xyz, cloud.rgb), segmenter(far_xyz, cloud.rgb)
    first, second = near.masks.astype(np.float32), far.masks.astype(np.float32)
    common = first @ second.T
    iou = common / (first.sum(1)[:, None] + second.sum(1) - common)
    away = place(far_xyz, far).centers[iou.argmax(1)] - UTM - place(cloud.xyz, near).centers
    return len(far), iou.max(1), float(np.median(np.linalg.norm(away, axis=1)))


def main() -> None:
    """Print a line for each preset."""
    print("preset, objects near, objects far, least IoU, IoU above 0.99, median mm between boxes")
    for preset, scene in SCENES.items():
        far, iou, away = compare(Segmenter.load(preset, "cpu"), scene())
        print(
            f"{preset}, {len(iou)}, {far}, {iou.min():.2f}, {int((iou > ALIKE).sum())}, {1000 * away:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
