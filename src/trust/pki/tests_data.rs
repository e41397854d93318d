//! A certificate as `dkms generate_mok` makes it, and what the kernel's sign-file (6.12) wrote behind
//! a file with that key.

/// The certificate, in base64.
pub const CERTIFICATE: &str = "\
    MIIDPDCCAiSgAwIBAgIUSm9eIU6y+VE0NcVFtsKBTvs6a5EwDQYJKoZIhvcNAQELBQAwIjEgMB4GA1UEAwwXREtNUyBtb2R1\
    bGUgc2lnbmluZyBrZXkwIBcNMjYxMTIxMDM1MjEzWhgPMjEyNjEwMjgwMzUyMTNaMCIxIDAeBgNVBAMMF0RLTVMgbW9kdWxl\
    IHNpZ25pbmcga2V5MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA6gQYxTds/DpvWfEMO+UEljjqOcUUPnNykfN0\
    CUbLrzjPo8w67IHtuI8JnmKXKhP2mnIKiSnMyN7VE+P+IKzLnrWPyZVFEWLMr73SFbOjrzkhjXUapCOvY16kHza72GXw20b3\
    nCxq9pq775hS0RAa8juDANREEt+cP0jxW4w/qzzHsTAWtBDBCNYc5TeCHCDWmVph+wGRqtqHj1da5MVYRRATzux5ZKStEeTu\
    4Q/GOaYByG3mmiOKHE3rmlp60PlH1yzD9sY1+BZW0h2HGoViPzWTz0RSW03SKu1ONUnGMhuPdBt774LQKO1cjdXQ3bbHZCVe\
    zu8tc2pbQ2nCkZkdCwIDAQABo2gwZjAdBgNVHQ4EFgQUCFO8QZck9FsH99zxqIl/s+i8SrwwHwYDVR0jBBgwFoAUCFO8QZck\
    9FsH99zxqIl/s+i8SrwwDwYDVR0TAQH/BAUwAwEB/zATBgNVHSUEDDAKBggrBgEFBQcDAzANBgkqhkiG9w0BAQsFAAOCAQEA\
    y/JZNPX/L4737MNmdyQOUc0RPaPGNInT1gkpTkJvag3GkJOwd0Hl3X9PPvkshsWrsNMbfHkW44OHFqiO6Dn/0aqnR9O7o/i3\
    Cw3dBIvJQkm8UM07+GgO+GFgA0GCt6uH8DSNjZGZ2uCDfdBRn8QQX0bQWWvaaPg4wXg1la0cVS/7KtQnLmtCk2Lf/8bhoN93\
    H+IgS7eajASk2IKNBYcnfb/A9gq6z3lsrH1DcE7Xs4o09oSvenPyIzMB/IVN3UrvptubdILsYSMDiOFobyZLFt30YP+Yz0f9\
    EtYtgMAL+wHKbqq/Zf7Y6rIHVxOsH4mGrH6B7mFMu+P/pwvCWFPwZA==";

/// Its serial number.
pub const SERIAL: [u8; 20] = [
    0x4a, 0x6f, 0x5e, 0x21, 0x4e, 0xb2, 0xf9, 0x51, 0x34, 0x35, 0xc5, 0x45, 0xb6, 0xc2, 0x81, 0x4e, 0xfb,
    0x3a, 0x6b, 0x91,
];

/// The signature (PKCS#7), in base64.
pub const SIGNATURE: &str = "\
    MIIBmQYJKoZIhvcNAQcCoIIBijCCAYYCAQExDTALBglghkgBZQMEAgEwCwYJKoZIhvcNAQcBMYIBYzCCAV8CAQEwOjAiMSAw\
    HgYDVQQDDBdES01TIG1vZHVsZSBzaWduaW5nIGtleQIUSm9eIU6y+VE0NcVFtsKBTvs6a5EwCwYJYIZIAWUDBAIBMA0GCSqG\
    SIb3DQEBAQUABIIBABrJ3gn1dTQIVudDGwUYfvDBY/Tv4GiXCbQ//Z9v/ZTwzGTknaUyhW6kj44MoHQi5sFw5LvyZt/TSyXg\
    NEZ7Ftxl7KQcNkzHbjJNo4pc8jv2g90mt/C+/hpjtVH+oTR4VWn1f+eoqx7xLNiSZTlaizIUqCOqHg8PEKceyRwj7iKpSbL4\
    USuwCV42yMJmkxrkHHZVdMU+uGBpiTMCfpOrsw3xCb+aoMROZ6a8OBL9gmLDuZ+SALUtKESJxLWNmf59QVlj1IMT62IN4Fx3\
    /F08fsyLME/NvFoFfClPnsYcnh2JMwz7eMEKBWIu6lcKNoPjHGyof1ZMnQli3qNhtC4SDwo=";

/// The bytes of one of these.
pub fn bytes(base64: &str) -> Vec<u8> {
    super::base64::from_base64(base64).unwrap()
}
