"""Small trees of what boards say of themselves in /proc and /sys, as recorded from the real ones' formats."""

import os

RASPBERRY_PI_4 = {
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "proc/cpuinfo": (
        "processor\t: 0\nBogoMIPS\t: 108.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\n"
        "Hardware\t: BCM2835\nRevision\t: c03114\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"
    ),
    "proc/meminfo": "MemTotal:        3884360 kB\nMemFree:          200000 kB\nMemAvailable:    3300000 kB\n",
    "proc/loadavg": "0.52 0.58 0.59 1/467 1234\n",
    "proc/vmstat": "nr_free_pages 1000\noom_kill 0\n",
    "etc/os-release": 'PRETTY_NAME="Raspbian GNU/Linux 11 (bullseye)"\nID=raspbian\nVERSION_ID="11"\n',
    "etc/systemd/logind.conf": "[Login]\n#NAutoVTs=6\n#KillUserProcesses=no\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48686\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "600000\n",
    "sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq": "1800000\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "50000\n",
}
RASPBERRY_PI_3_32_BIT = {
    "proc/device-tree/model": "Raspberry Pi 3 Model B Plus Rev 1.3\0",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: ARMv7 Processor rev 4 (v7l)\nHardware\t: BCM2835\n",
    "etc/os-release": "ID=raspbian\nVERSION_ID=10\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "61224\n",
}
JETSON_NANO = {
    "proc/device-tree/model": "NVIDIA Jetson Nano Developer Kit\0",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\n",
    "sys/class/thermal/thermal_zone0/type": "AO-therm\n",
    "sys/class/thermal/thermal_zone0/temp": "39500\n",
    "sys/class/thermal/thermal_zone1/type": "CPU-therm\n",
    "sys/class/thermal/thermal_zone1/temp": "31500\n",
    "sys/class/thermal/thermal_zone4/type": "PMIC-Die\n",
    "sys/class/thermal/thermal_zone4/temp": "100000\n",
}
DESKTOP = {
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD Ryzen 9 5950X 16-Core Processor\ncpu MHz\t\t: 2200.000\n",
    "proc/meminfo": "MemTotal:       65750000 kB\nMemAvailable:   60000000 kB\n",
    "sys/class/dmi/id/product_name": "MS-7C35\n",
    "sys/class/hwmon/hwmon0/name": "nvme\n",
    "sys/class/hwmon/hwmon0/temp1_input": "71000\n",
    "sys/class/hwmon/hwmon1/name": "k10temp\n",
    "sys/class/hwmon/hwmon1/temp1_input": "45125\n",
    "sys/class/hwmon/hwmon1/temp3_input": "47250\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "powersave\n",
    "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "5083398\n",
    "sys/devices/system/cpu/cpu1/cpufreq/cpuinfo_max_freq": "4900000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "3400000\n",
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "4\n",
    "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count": "0\n",
}


def stat_file(user=0, nice=0, system=0, idle=0, iowait=0, irq=0, softirq=0, steal=0):
    """Return /proc/stat of a machine with two processors."""
    times = f"{user} {nice} {system} {idle} {iowait} {irq} {softirq} {steal} 0 0"
    return f"cpu  {times}\ncpu0 {times}\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 5 0\nctxt 12\nprocs_running 1\n"


def write_tree(root, tree):
    """Write files below a folder, and return it as text."""
    for name, content in tree.items():
        write_file(root, name, content)
    return str(root)


def write_file(root, name, content):
    """Write one file of a tree in one piece, as the kernel shows it."""
    path = os.path.join(str(root), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w") as file:
        file.write(content)
    os.rename(path + ".new", path)


def write_program(root, name, script):
    """Install a program in a tree."""
    write_file(root, name, script)
    os.chmod(os.path.join(str(root), name), 0o755)
