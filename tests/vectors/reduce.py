#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the data files of this folder from what others publish: reduce.py WYCHEPROOF NIST

WYCHEPROOF is a checkout of C2SP/wycheproof, NIST the folder cryptography_vectors/ciphers/AES of Debian's python3-cryptography-vectors.
A vector is one line of fields separated by blanks; "-" is an empty field. What ESP cannot use (other nonce and tag sizes) is left out.
"""
import json
import pathlib
import sys

here = pathlib.Path(__file__).parent
wycheproof = pathlib.Path(sys.argv[1]) / "testvectors_v1"
nist = pathlib.Path(sys.argv[2])


def field(text):
    return text if text else "-"


def write(name, head, lines):
    (here / name).write_text("".join(f"# {line}\n" for line in head) + "\n".join(" ".join(map(field, line)) for line in lines) + "\n")


def aead(source, nonce=96):
    for group in json.loads((wycheproof / source).read_text())["testGroups"]:
        for test in group["tests"]:
            if group["ivSize"] == nonce and group["tagSize"] == 128:
                yield (f"tc{test['tcId']}", test["key"], test["iv"], test["aad"], test["msg"], test["ct"], test["tag"], test["result"])


def records(path):
    """The records of a CAVP file, each with the section it stands in."""
    section, record = {}, {}
    for line in path.read_text().splitlines() + [""]:
        line = line.strip()
        if line.startswith("[") and "=" in line:
            key, value = line[1:-1].split(" = ")
            section[key] = value
        elif line.startswith("["):
            section["part"] = line[1:-1]
        elif line == "FAIL":
            record["FAIL"] = True
        elif "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            record[key.strip().upper()] = value.strip()
        elif not line and record:
            yield dict(section), record
            record = {}


def nist_gcm(size):
    for kind in ("EncryptExtIV", "Decrypt"):
        taken = {}
        for section, record in records(nist / f"GCM/gcm{kind}{size}.rsp"):
            if section["IVlen"] != "96" or section["Taglen"] != "128":
                continue
            place = (section["PTlen"], section["AADlen"])
            taken[place] = taken.get(place, 0) + 1
            if taken[place] <= 6:
                yield (f"{kind}{size}-{place[0]}-{place[1]}-{record['COUNT']}", record["KEY"], record["IV"], record["AAD"], record.get("PT", ""),
                       record["CT"], record["TAG"], "invalid" if "FAIL" in record else "valid")


def nist_cbc():
    for name in ("CBCMMT", "CBCGFSbox", "CBCKeySbox", "CBCVarTxt"):
        for size in (128, 192, 256):
            for section, record in records(nist / f"CBC/{name}{size}.rsp"):
                if section["part"] == "ENCRYPT" and (name == "CBCMMT" or int(record["COUNT"]) < 12):
                    yield (f"{name}{size}-{record['COUNT']}", record["KEY"], record["IV"], record["PLAINTEXT"], record["CIPHERTEXT"], "valid")


def wycheproof_cbc():
    for group in json.loads((wycheproof / "aes_cbc_pkcs5_test.json").read_text())["testGroups"]:
        for test in group["tests"]:
            if test["result"] == "valid":
                pad = 16 - len(test["msg"]) // 2 % 16
                yield (f"tc{test['tcId']}", test["key"], test["iv"], test["msg"] + f"{pad:02x}" * pad, test["ct"], "valid")


def nist_ccm():
    key = ""  # stands before the records that it is for
    for size in (128, 192, 256):
        for section, record in records(nist / f"CCM/VNT{size}.rsp"):
            key = record.get("KEY", key)
            if "NONCE" in record and len(record["NONCE"]) == 22:
                yield (f"VNT{size}-{record['COUNT']}", key, record["NONCE"], record["ADATA"], record["PAYLOAD"], record["CT"][:-32],
                       record["CT"][-32:], "valid")


def wycheproof_gmac():
    for group in json.loads((wycheproof / "aes_gmac_test.json").read_text())["testGroups"]:
        for test in group["tests"]:
            if group["ivSize"] == 96 and len(test["msg"]) > 16:
                yield (f"tc{test['tcId']}", test["key"], test["iv"], test["msg"], test["tag"], test["result"])


def wycheproof_hmac(bits):
    """RFC 4868 cuts to half."""
    for group in json.loads((wycheproof / f"hmac_sha{bits}_test.json").read_text())["testGroups"]:
        for test in group["tests"]:
            if group["keySize"] == bits and len(test["msg"]) >= 32 and (group["tagSize"] == bits // 2 or test["result"] == "valid"):
                yield (f"tc{test['tcId']}-{group['tagSize']}", test["key"], test["msg"], test["tag"][: bits // 8], test["result"])


AEAD = "name key nonce aad plaintext ciphertext tag result"
C2SP = "Project Wycheproof (https://github.com/C2SP/wycheproof), Apache-2.0"
CAVP = "NIST Cryptographic Algorithm Validation Program, not subject to copyright"
write("wycheproof_aes_gcm.txt", [f"{C2SP}: aes_gcm_test.json", AEAD], aead("aes_gcm_test.json"))
write("wycheproof_chacha20_poly1305.txt", [f"{C2SP}: chacha20_poly1305_test.json", AEAD], aead("chacha20_poly1305_test.json"))
write("wycheproof_aes_cbc.txt", [f"{C2SP}: aes_cbc_pkcs5_test.json, padding written out", "name key iv plaintext ciphertext result"],
      wycheproof_cbc())
write("wycheproof_aes_ccm.txt", [f"{C2SP}: aes_ccm_test.json, those with an AAD and a text", AEAD],
      [line for line in aead("aes_ccm_test.json", 88) if line[3] and line[4]])
write("wycheproof_aes_gmac.txt", [f"{C2SP}: aes_gmac_test.json", "name key nonce message tag result"], wycheproof_gmac())
for bits in (256, 384, 512):
    write(f"wycheproof_hmac_sha{bits}.txt", [f"{C2SP}: hmac_sha{bits}_test.json, tags cut to {bits // 2} bits", "name key message tag result"],
          wycheproof_hmac(bits))
write("nist_aes_gcm.txt", [f"{CAVP}: GCM, six of each section", AEAD], [line for size in (128, 192, 256) for line in nist_gcm(size)])
write("nist_aes_cbc.txt", [f"{CAVP}: AES CBC", "name key iv plaintext ciphertext result"], nist_cbc())
write("nist_aes_ccm.txt", [f"{CAVP}: CCM, nonces of 11 octets", AEAD], nist_ccm())
