# SPDX-License-Identifier: Apache-2.0
# docker build -f docker/humble.Dockerfile -t sphmask:humble . && docker run --rm -it --network host --ipc host sphmask:humble
FROM ros:humble-ros-base

# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends \
      g++ python3-dev python3-pip python3-venv \
      ros-humble-vision-msgs ros-humble-rosbag2-storage-mcap \
    && rm -rf /var/lib/apt/lists/*
COPY . /workspace/src/sphmask
WORKDIR /workspace
# hadolint ignore=DL3013
RUN python3 -m pip install --no-cache-dir "torch>=2.6" --index-url https://download.pytorch.org/whl/cpu \
    && python3 -m pip install --no-cache-dir ./src/sphmask "numpy<2"

SHELL ["/bin/bash", "-c"]
# hadolint ignore=DL4006
RUN source /opt/ros/humble/setup.bash \
    && colcon build --packages-select sphmask_ros --cmake-args -DPython3_EXECUTABLE="$(command -v python3)" \
    && sed -i '$i source /workspace/install/setup.bash' /ros_entrypoint.sh
CMD ["ros2", "launch", "sphmask_ros", "segment.launch.py"]
