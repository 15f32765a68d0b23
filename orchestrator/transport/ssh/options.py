"""Say of every option of ssh_config whether the option is honoured, and how. docs/ssh.md shows the table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Reads(Enum):
    """How the value of an option is read by the parser for machines without ssh."""

    WORD = auto()
    CHOICE = auto()
    TIME = auto()
    PORT = auto()
    EACH = auto()  # one word a line, and every line counts
    WORDS = auto()
    LINE = auto()  # the rest of the line as written, for a shell
    JUMPS = auto()
    NAMES = auto()  # a list of algorithms, or changes of the usual list
    BY_SSH = auto()  # only ssh itself can tell what the option does
    NOT = auto()  # of no effect here


@dataclass(frozen=True, slots=True)
class Option:
    """An option by its name in ssh_config(5). `how` says what becomes of the option."""

    name: str
    reads: Reads
    how: str
    choices: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    @property
    def keyword(self) -> str:
        """The name as keywords are compared."""
        return self.name.lower()

    @property
    def honoured(self) -> bool:
        """Whether the option makes a difference."""
        return self.reads is not Reads.NOT


_YES_NO = ("yes", "no")
_BY_SSH = "ssh resolves the name; without ssh on the PATH, a device that the option is for is refused, with the line"
_ALGORITHMS = "those of the list that benchfleet has; a list that leaves none is refused, with both lists"

HONOURED: tuple[Option, ...] = (
    Option("HostName", Reads.WORD, "with %h; a numeric address in its usual form"),
    Option("Port", Reads.PORT, "unless the inventory says `port`"),
    Option("User", Reads.WORD, "unless the inventory says `user`"),
    Option(
        "IdentityFile",
        Reads.EACH,
        "in order, with tokens and variables; `identity_file` of the inventory is the only key offered",
        also=("identityfile2",),
    ),
    Option("CertificateFile", Reads.EACH, "offered with the key that the certificate is for, from a file or the agent"),
    Option("IdentitiesOnly", Reads.CHOICE, "other keys of the agent are not offered", _YES_NO),
    Option("IdentityAgent", Reads.WORD, "a socket, a variable, SSH_AUTH_SOCK or none"),
    Option(
        "PKCS11Provider", Reads.WORD, "its keys are not offered, and a failed login says so", also=("smartcarddevice",)
    ),
    Option(
        "PubkeyAuthentication",
        Reads.CHOICE,
        "`no` is refused, since benchfleet logs in with keys alone",
        (*_YES_NO, "unbound", "host-bound"),
        also=("dsaauthentication",),
    ),
    Option("PreferredAuthentications", Reads.WORD, "a list without publickey is refused"),
    Option("ProxyJump", Reads.JUMPS, "every host of the list by its own part of the configuration"),
    Option("ProxyCommand", Reads.LINE, "by a shell, with %h, %k, %n, %p and %r"),
    Option("ProxyUseFdpass", Reads.CHOICE, "the connection that the command passes is used", _YES_NO),
    Option("HostKeyAlias", Reads.WORD, "the name to look for in files of host keys"),
    Option("UserKnownHostsFile", Reads.WORDS, "beside benchfleet's own file, with @cert-authority and @revoked"),
    Option("GlobalKnownHostsFile", Reads.WORDS, "beside benchfleet's own file"),
    Option("KnownHostsCommand", Reads.LINE, "what the command prints counts as a file of host keys"),
    Option("RevokedHostKeys", Reads.WORD, "a list of keys is honoured; a binary list (KRL) refuses the device"),
    Option("Ciphers", Reads.NAMES, _ALGORITHMS),
    Option("KexAlgorithms", Reads.NAMES, _ALGORITHMS),
    Option("MACs", Reads.NAMES, _ALGORITHMS),
    Option("HostKeyAlgorithms", Reads.NAMES, _ALGORITHMS),
    Option("PubkeyAcceptedAlgorithms", Reads.NAMES, _ALGORITHMS, also=("pubkeyacceptedkeytypes",)),
    Option("AddressFamily", Reads.CHOICE, "of the address that is connected to", ("any", "inet", "inet6")),
    Option("BindAddress", Reads.WORD, "the address of this machine to connect from"),
    Option("BindInterface", Reads.WORD, "the interface of this machine to connect from"),
    Option("Compression", Reads.CHOICE, "as ssh: after the login", _YES_NO),
    Option("ConnectTimeout", Reads.TIME, "if longer than `connect_timeout_s` of the settings"),
    Option("ServerAliveInterval", Reads.TIME, "if shorter than the 15 s after which a silent connection speaks"),
    Option("CanonicalizeHostname", Reads.BY_SSH, _BY_SSH),
    Option("CanonicalizePermittedCNAMEs", Reads.BY_SSH, _BY_SSH),
    Option("CanonicalDomains", Reads.BY_SSH, _BY_SSH),
    Option("CanonicalizeMaxDots", Reads.BY_SSH, _BY_SSH),
    Option("CanonicalizeFallbackLocal", Reads.BY_SSH, _BY_SSH),
    Option("IgnoreUnknown", Reads.WORD, "words that are no options are passed over"),
    Option("Tag", Reads.WORD, "for `Match tagged`"),
)

_KEYS_ALONE = "no: benchfleet logs in with keys alone, and asks nothing"
_NO_FORWARDING = "no: nothing is forwarded"
_NO_TERMINAL = "no: commands run without a terminal"
_ALWAYS_STRICT = "no: a key must be on record, always"
_OWN_CONNECTION = "no: every device has a connection of its own"
_OBSOLETE = "no: ssh itself ignores the option"

NOT_HONOURED: tuple[Option, ...] = tuple(
    Option(name, Reads.NOT, how)
    for how, names in {
        _KEYS_ALONE: "PasswordAuthentication KbdInteractiveAuthentication KbdInteractiveDevices "
        "ChallengeResponseAuthentication SkeyAuthentication TISAuthentication NumberOfPasswordPrompts BatchMode "
        "GSSAPIAuthentication GSSAPIDelegateCredentials GSSAPIKeyExchange GSSAPIClientIdentity GSSAPIServerIdentity "
        "GSSAPIKexAlgorithms GSSAPIRenewalForcesRekey GSSAPITrustDns HostbasedAuthentication "
        "HostbasedAcceptedAlgorithms HostbasedKeyTypes EnableSSHKeysign",
        "no: a key with a passphrase is used through the agent, which ssh-add fills": "AddKeysToAgent",
        "no: keys of a security key are used through the agent": "SecurityKeyProvider",
        _NO_FORWARDING: "ForwardAgent ForwardX11 ForwardX11Trusted ForwardX11Timeout XAuthLocation LocalForward "
        "RemoteForward DynamicForward PermitRemoteOpen GatewayPorts ExitOnForwardFailure ClearAllForwardings Tunnel "
        "TunnelDevice StreamLocalBindMask StreamLocalBindUnlink",
        _NO_TERMINAL: "RequestTTY EscapeChar EnableEscapeCommandline SessionType StdinNull ForkAfterAuthentication "
        "RemoteCommand LocalCommand PermitLocalCommand VisualHostKey ObscureKeystrokeTiming",
        "no: what a measurement sees is set by the sweep": "SendEnv SetEnv",
        _ALWAYS_STRICT: "StrictHostKeyChecking CheckHostIP VerifyHostKeyDNS NoHostAuthenticationForLocalhost "
        "UpdateHostkeys HashKnownHosts FingerprintHash CASignatureAlgorithms RequiredRSASize",
        _OWN_CONNECTION: "ControlMaster ControlPath ControlPersist",
        "no: benchfleet has tries, keepalives and limits of its own": "ConnectionAttempts ServerAliveCountMax "
        "TCPKeepAlive KeepAlive RekeyLimit IPQoS ChannelTimeout",
        "no: failures are told in benchfleet's words": "LogLevel LogVerbose SyslogFacility RefuseConnection "
        "WarnWeakCrypto VersionAddendum",
        _OBSOLETE: "Protocol Cipher FallBackToRsh GlobalKnownHostsFile2 RhostsAuthentication UserKnownHostsFile2 "
        "UseRoaming UseRsh UsePrivilegedPort AFSTokenPassing KerberosAuthentication KerberosTGTPassing "
        "RSAAuthentication RhostsRSAAuthentication CompressionLevel",
    }.items()
    for name in names.split()
)

BY_KEYWORD: dict[str, Option] = {
    keyword: option for option in (*HONOURED, *NOT_HONOURED) for keyword in (option.keyword, *option.also)
}


def table() -> str:
    """Return the table of options in Markdown, as docs/ssh.md has it."""
    rows = ["| option | what becomes of it |", "|---|---|"]
    rows += [f"| {option.name} | {option.how} |" for option in HONOURED]
    together: dict[str, list[str]] = {}
    for option in NOT_HONOURED:
        together.setdefault(option.how, []).append(option.name)
    rows += [f"| {', '.join(names)} | {how} |" for how, names in together.items()]
    return "\n".join(rows) + "\n"
