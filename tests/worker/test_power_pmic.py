"""The power management chip of a Raspberry Pi 5, by a program that prints what the firmware prints."""

import os

import pytest

from device_worker.protocol.vocabulary import SourceKind
from device_worker.sensing import power
from device_worker.sensing.power import pmic
from device_worker.sensing.power.base import Lost, Unreadable
from device_worker.system.patient_reader import PatientReader
from fixture_trees import write_file, write_tree

WITH_CHANNELS = """ 3V7_WL_SW_A current(0)=0.00195186A
  VDD_CORE_A current(7)=0.56259000A
  DDR_VDDQ_A current(4)=0.00000000A
 3V7_WL_SW_V volt(8)=3.70720000V
  VDD_CORE_V volt(15)=0.72047800V
  DDR_VDDQ_V volt(12)=0.60000000V
     EXT5V_V volt(24)=5.06015625V
      BATT_V volt(25)=0.00000000V
"""
WITHOUT_CHANNELS = """3V7_WL_SW_A=0.00195186A
VDD_CORE_A=0.56259000A
DDR_VDDQ_A=0.00000000A
3V7_WL_SW_V=3.70720000V
VDD_CORE_V=0.72047800V
DDR_VDDQ_V=0.60000000V
EXT5V_V=5.06015625V
BATT_V=nanV
"""
WATTS = 0.00195186 * 3.7072 + 0.56259 * 0.720478
MODEL = "proc/device-tree/model"
TREE = {
    MODEL: "Raspberry Pi 5 Model B Rev 1.0\0",
    "usr/bin/vcgencmd": '#!/bin/sh\n[ "$1" = pmic_read_adc ] && exec cat "$0.says"\n',
    "usr/bin/vcgencmd.says": WITH_CHANNELS,
}


@pytest.fixture
def board(tmp_path, monkeypatch):
    root = write_tree(tmp_path, TREE)
    os.chmod(str(tmp_path / "usr/bin/vcgencmd"), 0o755)
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", root)
    return tmp_path


@pytest.mark.parametrize("printed", [WITH_CHANNELS, WITHOUT_CHANNELS], ids=["with channels", "without channels"])
def test_rails_are_multiplied_and_added_up_in_both_printed_forms(board, printed):
    write_file(board, "usr/bin/vcgencmd.says", printed)
    source = power.open_source()
    assert (source.name, source.kind, source.is_estimate) == ("pmic", SourceKind.POWER_GAUGE, True)
    assert source.read() == round(WATTS * 1e6)
    (described,) = power.describe_sources(PatientReader())
    assert (described["rate_hz"], described["is_estimate"], described["unit"]) == (4.0, True, "uW")


def test_a_rail_that_is_gone_is_no_lower_power(board):
    source = pmic.open_source()
    write_file(board, "usr/bin/vcgencmd.says", WITH_CHANNELS.replace("VDD_CORE_V", "VDD_CORE_X"))
    with pytest.raises(Lost, match="lacks VDD_CORE"):
        source.read()


def test_a_firmware_that_answers_no_more_is_a_failed_reading(board):
    source = pmic.open_source()
    write_file(board, "usr/bin/vcgencmd.says", 'error=1 error_msg="Command not registered"')
    assert source.read() is None


def test_older_boards_are_not_asked(board):
    write_file(board, MODEL, "Raspberry Pi 4 Model B Rev 1.5\0")
    write_file(board, "usr/bin/vcgencmd", "#!/bin/sh\nexit 1\n")
    assert pmic.open_source() is None


@pytest.mark.parametrize(
    ("says", "reason"), [("VCHI initialization failed\n", "group video"), (None, "vcgencmd is not installed")]
)
def test_a_board_whose_rails_nobody_tells_says_why(board, says, reason):
    if says is None:
        os.unlink(str(board / "usr/bin/vcgencmd"))
    else:
        write_file(board, "usr/bin/vcgencmd.says", says)
    with pytest.raises(Unreadable, match=reason):
        pmic.open_source()
