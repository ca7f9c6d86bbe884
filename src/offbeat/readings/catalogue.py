"""The public benchmark sets: what each is, under which licence, where it stands, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from offbeat.readings.public_formats import (
    read_ims_bearing,
    read_msl,
    read_nab,
    read_server_metrics,
    read_skab,
    read_tep,
    read_ucr,
)
from offbeat.readings.public_tables import PublicSeries


@dataclass(frozen=True)
class Dataset:
    """A public set: what it is, under which licence, where it stands, and how to read it.

    `pins` lists the files that can be downloaded, each line a SHA-256 and a path below `folder`; `expected` describes
    the files of a local copy; `like_machines` is False where the assets are unlike, to be trained one by one.
    """

    title: str
    what: str
    licence: str
    repository: str
    commit: str
    folder: str
    expected: str
    read: Callable[[Path], Iterator[PublicSeries]]
    like_machines: bool = True
    clock: str = ""
    pins: str = ""


_SERVER_FILES = (
    "<asset>_train.csv, <asset>_test.csv (the arrays saved as csv with a header) and "
    "<asset>_test_label.csv with a column label"
)

DATASETS: dict[str, Dataset] = {
    "nab": Dataset(
        title="Numenta Anomaly Benchmark",
        what="city taxi demand, temperatures, server metrics and road traffic; 1 channel each",
        licence="MIT",
        repository="numenta/NAB",
        commit="ea702d75cc2258d9d7dd35ca8e5e2539d71f3140",
        folder="data/",
        expected="csv files with timestamp,value and combined_windows.json beside or above them",
        read=read_nab,
        like_machines=False,
        pins="""
c4b304229f69f108eaa024fb2406fcd4510c5c5d95cd0053e2da6989682e4e6d  artificialNoAnomaly/art_daily_small_noise.csv
ea5df125947e9ee2b977ac3d341f3c2a029588862af97cae4a654fc56e838702  artificialWithAnomaly/art_daily_flatmiddle.csv
f79f92b93ee4f9c10e2dc552505e8880b0c618639ed5e0f9816e044b75c26456  artificialWithAnomaly/art_daily_jumpsup.csv
230b68ccca20f59d562afd5d24ad52939c9b784386bed0054018358bf9120581  realKnownCause/ambient_temperature_system_failure.csv
58ba65dc0737cfbac11b51514476d50c438d44011232144bb8d93f392df58f9f realKnownCause/cpu_utilization_asg_misconfiguration.csv
98378580aa80157e057c61d59d81daddccc6c65a2c0c800e3f01f603b8215c3f  realKnownCause/ec2_request_latency_system_failure.csv
92bf5b87fc7f9bba8ca0b7ec63ccaac8cb4a1371a258e8c29a10ae9c018d82a4  realKnownCause/machine_temperature_system_failure.csv
d8fa6f7f0734bf5c8be12c52a94e20a82664c397d9dec4449156bd453d32856d  realKnownCause/nyc_taxi.csv
cd357d7820d675074270fd976d4af1fc1e7854ecb764783028cbcb18d980c91d  realTraffic/occupancy_6005.csv
fa5532d6f7db36cadc73e657fd4dfef05cb1ec44d4010243b314d3f1bbd6a7b5  realTraffic/speed_t4013.csv
""",
    ),
    "skab": Dataset(
        title="Skoltech Anomaly Benchmark",
        what="a water-circulation rig whose valves were closed on purpose; 8 channels at 1 Hz",
        licence="GPL-3.0",
        repository="waico/SKAB",
        commit="b2c0d46c2971dcbfe71e26087b6d231998bb91c2",
        folder="data/",
        expected="csv files separated by semicolons with datetime, channels and, where labelled, anomaly",
        read=read_skab,
        pins="""
7641a8742957100ef424dd97adfb3eeab27d4d180645fe2b3c49b7f7146ae9a6  anomaly-free/anomaly-free.csv
16af3f71313a23dd33d9b7b8065d836d05c3f9257588881cc7fbe07c076d9dc8  valve1/0.csv
fe4493bf805baef4e6dfb864094275d8cc2ea80a16b3735e2752b18b6aefd812  valve1/1.csv
ee16be8e4b870c779491e3d1dc9e0ecbfaf29eb013e032abff7a33f2cbbfe2ad  valve1/10.csv
89660fae4ed5c918db014409bbbc29f498fd99c7e956fab2620d18dea700a973  valve1/11.csv
90adfa9bc86d4556e6a4ce734436fd5685af79c189cd9828f8df75a7f468ce07  valve1/12.csv
d6cb6a97437215d3066a87e1fcc5fa4e68017629c043c5315920e3cf1060841c  valve1/13.csv
5f0bb9bc33c5e6c259263e32e25915c4d24c82b0a94554d48808626da05c1d71  valve1/14.csv
75cc86ab25d7091eee024739fa06d048753480d5d7d1507077231cab4f1b7a7e  valve1/15.csv
90492413469261886c8896c327241448df5da73fd7739cabfec8dd82de3c0ce4  valve1/2.csv
cb6afea108eddfd8447307e405f86bbb764b8d8e9130d7849a46e1303e19b8b2  valve1/3.csv
983aed9dc09991a57911091373c580e1b86d06aa983cd51678f108fd8d709654  valve1/4.csv
78974991ec87b7f9b9b6b2944f4b525468a9beb36c59b06cd7650d9a15eca14a  valve1/5.csv
97469c0e0c9c0e0ee5d30794f1f36c6785df5816a112a8b16c59637e8c894685  valve1/6.csv
ca2c9c6d6fa302c642acec6fbedac495bd12fececeee0a755d45a54e340e0f30  valve1/7.csv
0c4afb92248b5b35b4c9d734a91ed8318346901f04579074903730569e60416c  valve1/8.csv
2aa1ae1b2ff505caecda24802b877dc686924bbbeeb7e7db4faa261efb5ed5bd  valve1/9.csv
a6670e7a68c7c6ba62c649bd9d350633e80db624578e9529f2b736ced5e32bde  valve2/0.csv
b35d27f664eb0851ab73e5eb06633404c7eeaf532edff7e40c68eb9379f2012b  valve2/1.csv
2c3005cf28b88db715b7f4694e826ff252cba4dbb1eba679b040961f80477e60  valve2/2.csv
86927555d5c523e587d41500bd5dee4e2468289ec1b988ac17755aeae697d7f8  valve2/3.csv
""",
    ),
    "msl": Dataset(
        title="Mars Science Laboratory telemetry",
        what="27 spacecraft channels; 1 telemetry value and 54 commands each",
        licence="labels: Caltech, BSD-style; arrays: BSD-3-Clause repository",
        repository="imperial-qore/TranAD",
        commit="7ffb98d0c18189cc3d9ab732b4cb0278200a0af0",
        folder="data/SMAP_MSL/",
        expected="train/<channel>.csv and test/<channel>.csv (the .npy arrays saved as csv with a header) and "
        "labeled_anomalies.csv of github.com/khundman/telemanom",
        read=read_msl,
        like_machines=False,
        clock="1 minute",
    ),
    "smd": Dataset(
        title="Server Machine Dataset",
        what="servers of an internet company; 38 channels, 1 minute apart",
        licence="MIT",
        repository="zhhlee/InterFusion",
        commit="8c85d511c1f070669ba8c5cf097b8fa4a202d15b",
        folder="data/processed/",
        expected=_SERVER_FILES,
        read=partial(read_server_metrics, period="1min"),
        clock="1 minute",
    ),
    "asd": Dataset(
        title="Application Server Dataset",
        what="application servers; 19 channels, 5 minutes apart, 30 days for training and 15 for testing",
        licence="MIT",
        repository="zhhlee/InterFusion",
        commit="8c85d511c1f070669ba8c5cf097b8fa4a202d15b",
        folder="data/processed/",
        expected=_SERVER_FILES,
        read=partial(read_server_metrics, period="5min"),
        clock="5 minutes",
    ),
    "ucr": Dataset(
        title="UCR Anomaly Archive",
        what="physiological and industrial series without time; 1 channel and 1 anomaly each",
        licence="public for research, no formal licence text; packaging MIT",
        repository="cefet-rj-dal/united",
        commit="b794258ac6df32dc77d01c478251403f22cccf9c",
        folder="original_datasets/ucr_anomaly/data/zip/",
        expected="<NNN>_UCR_Anomaly_<name>_<trainEnd>_<begin>_<end>.csv with a column value, or the archive's own .txt",
        read=read_ucr,
        like_machines=False,
    ),
    "ims_bearing": Dataset(
        title="IMS bearing run to failure",
        what="mean absolute vibration of 4 bearings every 10 minutes until one fails; no labels",
        licence="NASA prognostics data repository, US government, public; the repository has no licence file",
        repository="bingblackbean/nasa_bearing_abnormal_detection",
        commit="be045e50d02cda902f201ab827bfb726264b15fc",
        folder="",
        expected="csv files with a column Datetime (2004.02.12.10.32.39) and a column per bearing",
        read=read_ims_bearing,
        pins="""
b6d1a149837154613b54c0c764a136cb7d43749213649c128e77f7def7147afb  2nd_test_resmaple_10minutes.csv
""",
    ),
    "tep": Dataset(
        title="Tennessee Eastman process",
        what="a simulated chemical plant with known faults; 52 channels, 3 minutes apart",
        licence="University of Illinois, BSD-style",
        repository="camaramm/tennessee-eastman-profBraatz",
        commit="0643318858ce7c87292bd59820b459e12a13d009",
        folder="",
        expected="d00.dat (normal operation) and dNN_te.dat, tables separated by blanks",
        read=read_tep,
        clock="3 minutes",
        pins="""
4c3c0b11eefacf93e5d2529e2866d7a625e37aa9153d0f95fae17a6c9e560deb  d00.dat
57d56da4199e3d73582855d810be1d13d931386fd728bf1694798c7b0a03678c  d00_te.dat
e7e6992fb39664e739fccbc001a1c5d5f7cb21829544f734ca3f282c26f680e5  d01_te.dat
1ccb488dd5feac11aad54623451168abef066229e685872597897800363916f9  d04_te.dat
1def7258a2865aeead699d52c8cf926fbf34c1467aaf298121987ab858fd0888  d05_te.dat
6d60a4c932d918e1ab26ae5d16320936a665f3aad3f05482d23f5c4550b9f29a  d11_te.dat
""",
    ),
}
