#!/bin/busybox sh
# The first process of the guest: this host's files, read-only, below a memory that is forgotten; then the agent.
b=/bin/busybox
for fs in proc sysfs devtmpfs; do
    case $fs in proc) at=/proc ;; sysfs) at=/sys ;; devtmpfs) at=/dev ;; esac
    $b mount -t $fs $fs $at
done
exec >/dev/console 2>&1
for word in $($b cat /proc/cmdline); do
    case $word in lab.python=*) python=${word#*=} ;; lab.root=*) root=${word#*=} ;; lab.probe) probe=yes ;; esac
done
if [ -n "$probe" ]; then
    echo "lab: probed"
    $b poweroff -f
fi
while read -r module; do $b insmod "/m/$module" || echo "lab: no module $module"; done </m/order
$b mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=512000,cache=loose root /ro || echo "lab: no file system"
$b mount -t tmpfs -o size=60% memory /rw
$b mkdir /rw/upper /rw/work
$b mount -t overlay -o lowerdir=/ro,upperdir=/rw/upper,workdir=/rw/work overlay /new
for at in proc sys dev; do $b mkdir -p /new/$at && $b mount -o bind /$at /new/$at; done
$b mkdir -p /new/dev/pts /new/dev/shm /new/run /new/tmp
$b mount -t devpts devpts /new/dev/pts
for at in dev/shm run tmp; do $b mount -t tmpfs memory /new/$at; done
$b ip link set lo up
$b hostname lab
# The whole root, as on any host: in a mere chroot the kernel permits no namespace of a user's own (unshare(2), EPERM).
cd /new && $b mount --move /new /
lab() { $b chroot . /usr/bin/env -i "PATH=$root/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    HOME=/root TERM=dumb LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 "PYTHONPATH=$root/tests" "$@"; }
lab mkdir -p /root /run/lock /run/udev
lab /lib/systemd/systemd-udevd --daemon
echo "lab: files mounted"
lab "$python" -m support.guest.agent
echo "lab: the agent ended with code $?"
$b poweroff -f
