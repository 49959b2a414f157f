"""What the path of a file says: whose it is, of which visit, and what it shows, in the layouts of hospitals."""

import pytest

from data_prep.files.names import of_patient
from data_prep.files.names import read_name as named_alone
from data_prep.files.whose import letters_of_ids


def named(folders, stem, shared=0):
    """What a path says where it is the only one."""
    says = named_alone(folders, stem, shared)
    return of_patient(says, letters_of_ids([(says.patient, says.scan)]))


# path: words of the patient, of the visit, modalities; "mask" where its own name says so
PATHS = {
    "P01/pet": ("p01", "", "pet"),
    "P01/P01_MR_T1_mask": ("p01", "", "t1 mask"),
    "STS_001/PET_image": ("sts 001", "", "pet"),
    "sub-01/ses-1/pet/sub-01_ses-1_trc-FDG_pet": ("sub-01", "ses-1", "pet"),
    "derivatives/manual/sub-01/ses-1/sub-01_ses-1_desc-lesion_mask": ("sub-01", "ses-1", "mask"),
    "derivatives/sub-02/anat/sub-02_space-T1w_label-lesion_dseg": ("sub-02", "", "t1 mask"),
    "labelsTr/HN_012": ("hn 012", "", ""),
    "P01_GTVp": ("p01", "", "mask"),
    "CHUM-001__PT": ("chum 001", "", "pet"),
    "PET/P01": ("p01", "", "pet"),
    "P01/2019-01-05/pet": ("p01", "20190105", "pet"),
    "P01_v2_PET_ac": ("p01", "v2", "pet"),
    "p001_a/pet": ("p001", "a", "pet"),
    "P01_brain_T1": ("p01", "", "t1"),
    "Müller, Hans/PET": ("müller hans", "", "pet"),
    "MUELLER_HANS_baseline_PET": ("mueller hans", "baseline", "pet"),
    "M01_v2_PET": ("m01", "v2", "pet"),
    "visit1/P01/pet": ("p01", "visit1", "pet"),
    "centerA/P01/t1": ("center a p01", "", "t1"),
    "P01/T2_FLAIR_ax": ("p01", "", "flair"),
    "P01/3_t1_mprage_sag": ("p01", "", "t1"),
    "P01/T1Gd": ("p01", "", "t1c"),
    "Mu\u0308ller/PET": ("m\u00fcller", "", "pet"),
    "P01/CTres": ("p01", "", "ct"),
    "P01/PET/8_ac_transaxial": ("p01", "", "pet"),
    "P01_CT_on_PET": ("p01", "", "ct pet"),
    "P01/atlas": ("p01", "", ""),
    "baseline/M01/pet": ("m01", "baseline", "pet"),
    "visit2/scan07/pet": ("scan07", "visit2", "pet"),
    "M01/M12/pet": ("m01", "m12", "pet"),
    "site_1/P01/pet": ("site 1 p01", "", "pet"),
    "center_A/M01/v2/pet": ("center a m01", "v2", "pet"),
    "centerA/PET_001": ("center a 001", "", "pet"),
    "train_001/pet": ("train 001", "", "pet"),
    "baseline/pet": ("", "baseline", "pet"),
    "pet_a": ("", "", "pet"),
    "Patient 3/MRT": ("patient 3", "", "mri"),
    "Patient 3/Maske": ("patient 3", "", "mask"),
    "P01/L\u00e4sion": ("p01", "", "mask"),
    "P01/TEP": ("p01", "", "pet"),
    "P01/IRM": ("p01", "", "mri"),
    "P01/IRM_masque": ("p01", "", "mri mask"),
}


@pytest.mark.parametrize("path", PATHS)
def test_words_say_whose_a_file_is_and_what_it_shows(path):
    *folders, stem = path.split("/")
    found = named(folders, stem)
    shows = [*found.modalities, *(["mask"] if found.mask else [])]
    assert (" ".join(found.patient), " ".join(found.scan), " ".join(shows)) == PATHS[path]


def test_channels_and_folders_of_masks_are_told_apart():
    image, label = named(["imagesTr"], "HN_012_0001"), named(["labelsTr"], "HN_012")
    assert (image.patient, image.channel, image.in_masks) == (("hn", "012"), "0001", False)
    assert (label.patient, label.channel, label.in_masks) == (("hn", "012"), "", True)
    assert named(["P01"], "pet_0001").channel == ""


def test_masks_of_other_things_are_no_lesion():
    assert [
        named(["P01"], stem).no_lesion for stem in ("brain_mask", "bodymask", "lesion_mask", "brain")
    ] == [
        *(True, True),
        *(False, False),
    ]


def test_folders_that_hold_all_files_say_not_whose_one_is():
    assert named(["exports2023", "P01"], "pet", shared=1).patient == ("p01",)


@pytest.mark.parametrize(
    "path, organ",
    {
        "liver_masks/P01": "liver",
        "P01/segmentations/liver": "liver",
        "P01/brain/mask": "brain",
        "P01/masks/parotid_left": "parotid",
        "P01/liver_P01_mask": "liver",
        "brain_mask_001": "brain",
        "masks/P01": "",
        "brain/P01/mask": "",
        "labelsTr/lung_001": "",
        "mask/Head_Neck_001_mask": "",
        "head_001_tumor_mask": "",
        "P01_lung_tumor_mask": "",
        "P01_liver_lesion_mask": "",
        "liver_masks/P01_lesion": "",
        "P01/brain/T1": "",
    }.items(),
)
def test_a_mask_is_of_an_organ_by_its_name_or_its_folders_behind_the_id(path, organ):
    *folders, stem = path.split("/")
    found = named(folders, stem)
    assert (found.no_lesion, found.organ if found.no_lesion else "") == (bool(organ), organ)


def test_an_organ_before_a_bare_number_is_part_of_an_id():
    assert {named(["labelsTr"], each).patient for each in ("lung_001", "eye_001")} == {
        ("lung", "001"),
        ("eye", "001"),
    }
    assert [named(["labelsTr"], each).organ_in_id for each in ("lung_001", "HN_001")] == ["lung", ""]


def test_a_number_behind_what_is_shown_belongs_to_an_id_without_one():
    assert {named([], each).patient for each in ("HN_PET_001", "HN_MR_001_mask")} == {("hn", "001")}
    assert named([], "HN_PET_002").patient == ("hn", "002")
    assert named(["P01"], "pet_0002").patient == ("p01",)
    assert {
        named([each], f"{each}-t1c").patient[-2:] for each in ("BraTS-GLI-00000-000", "BraTS-GLI-00002-000")
    } == {
        ("00000", "000"),
        ("00002", "000"),
    }


def patients_of(*paths):
    """Who each file is of, and of which visit, where all of them are asked about together."""
    says = [named_alone(path.split("/")[:-1], path.split("/")[-1]) for path in paths]
    letters = letters_of_ids((each.patient, each.scan) for each in says)
    return [(each.patient, each.scan) for each in (of_patient(each, letters) for each in says)]


def test_of_two_words_that_look_like_visits_the_id_is_that_of_more_values():
    assert patients_of("V1/M01/pet", "V2/M01/pet", "V1/M02/pet", "M03/V1/pet") == [
        (("m01",), ("v1",)),
        (("m01",), ("v2",)),
        (("m02",), ("v1",)),
        (("m03",), ("v1",)),
    ]
    assert patients_of("Y1/D1/pet", "Y2/D1/pet", "Y3/D2/pet")[2] == (("y3",), ("d2",))
    assert patients_of("20200101/M01/pet", "20210302/M01/pet", "20210303/M01/pet")[0][0] == ("m01",)
    assert patients_of("20200101/pet", "20210302/pet") == [(("20200101",), ()), (("20210302",), ())]


def test_letters_that_are_visits_by_custom_or_elsewhere_are_no_ids():
    """Ids with the letter of their site, visits of more values than there are patients, years."""
    sites = [f"{site}01/V{visit}/pet" for site in "ADM" for visit in (1, 2)]
    assert [patient for patient, _ in patients_of(*sites)] == [
        (f"{site}01",) for site in "adm" for _ in (1, 2)
    ]
    for visits in (("V1", "V2", "V3"), ("2017", "2018", "2019")):
        paths = [f"{patient}/{visit}/pet" for patient in ("M01", "M02") for visit in visits]
        assert {patient for patient, _ in patients_of(*paths)} == {("m01",), ("m02",)}
    assert patients_of("P01/W1/pet", "P01/W2/pet", "M01/W1/pet", "M01/W2/pet", "M01/W3/pet")[-1] == (
        ("m01",),
        ("w3",),
    )
    assert patients_of("baseline_2019/pet", "followup_2020/pet") == [
        ((), ("baseline", "2019")),
        ((), ("followup", "2020")),
    ]


def test_the_number_of_a_place_is_nobodys():
    assert patients_of("site_1/P01/pet", "site_1/P02/pet", "site_2/P01/pet") == [
        (("site", "1", "p01"), ()),
        (("site", "1", "p02"), ()),
        (("site", "2", "p01"), ()),
    ]
    assert patients_of("site1/pet", "site2/pet") == [(("site1",), ()), (("site2",), ())]
