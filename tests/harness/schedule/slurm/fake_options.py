"""The options of SLURM's commands, parsed as getopt does. Standard library only."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

NONE, NEEDED, OPTIONAL = "", "=", "?"


def _table(text: str) -> dict[str, str]:
    """``name=`` takes a value, ``name?`` may have one after an equals sign, ``name`` has none."""
    words = text.split()
    return {word.rstrip("=?"): word[len(word.rstrip("=?")) :] for word in words}


@dataclasses.dataclass(frozen=True)
class Options:
    """What a command takes.

    Args:
        long: Names and whether they take a value.
        short: Letters and the long name each stands for.
    """

    long: dict[str, str]
    short: dict[str, str]

    def parse(self, words: list[str], unknown: Callable[[str], None]) -> tuple[dict[str, str], list[str]]:
        """Options and arguments; options end at the first argument.

        Args:
            words: The command line.
            unknown: Called with the message for an option that there is not; does not return.
        """
        found: dict[str, str] = {}
        rest = list(words)
        while rest and rest[0].startswith("-") and rest[0] != "-":
            word = rest.pop(0)
            if word == "--":
                break
            if word.startswith("--"):
                name, equals, value = word[2:].partition("=")
                if name not in self.long:
                    unknown(f"unrecognized option '--{name}'")
                if self.long[name] == NEEDED and not equals:
                    value = rest.pop(0) if rest else unknown(f"option '--{name}' requires an argument") or ""
                found[name] = value
                continue
            letters = word[1:]
            while letters:
                name, letters = self.short.get(letters[0], ""), letters[1:]
                if not name:
                    unknown(f"invalid option -- '{word[1]}'")
                if self.long[name] == NEEDED:
                    found[name], letters = letters or (rest.pop(0) if rest else ""), ""
                else:
                    found[name] = ""
        return found, rest


def _options(long: str, short: str) -> Options:
    return Options(_table(long), dict(pair.split(":") for pair in short.split()))


SBATCH = _options(
    "array= account= begin= comment= cpus-per-task= dependency= deadline= chdir= error= export? export-file= "
    "get-user-env? gres= gres-flags= hold input= job-name= kill-on-invalid-dep= no-kill? licenses= clusters= "
    "mail-type= mail-user= ntasks= nice? no-requeue ntasks-per-node= nodes= open-mode= output= overcommit partition= "
    "parsable priority= qos= quiet reboot requeue oversubscribe signal= spread-job switches= test-only time= "
    "time-min= verbose wait wrap= constraint= contiguous exclude= exclusive? gpus= gpu-bind= gpu-freq= cpus-per-gpu= "
    "gpus-per-node= gpus-per-task= gpus-per-socket= mem= mem-per-cpu= mem-per-gpu= mincpus= nodelist= nodefile= "
    "reservation= tmp= sockets-per-node= cores-per-socket= threads-per-core= ntasks-per-core= ntasks-per-socket= "
    "hint= uid= gid= version",
    "a:array A:account b:begin c:cpus-per-task d:dependency D:chdir e:error H:hold i:input J:job-name k:no-kill "
    "L:licenses M:clusters n:ntasks N:nodes o:output O:overcommit p:partition q:qos Q:quiet s:oversubscribe t:time "
    "v:verbose W:wait C:constraint x:exclude G:gpus w:nodelist F:nodefile V:version",
)
SQUEUE = _options(
    "noheader states= array format= jobs= user= me name= partition= version account= sort= local",
    "h:noheader t:states r:array o:format j:jobs u:user n:name p:partition V:version A:account S:sort",
)
SACCT = _options(
    "noheader parsable2 allocations duplicates format= jobs= name= user= starttime= endtime= state= allusers array "
    "version",
    "n:noheader P:parsable2 X:allocations D:duplicates o:format j:jobs u:user S:starttime E:endtime s:state "
    "a:allusers V:version",
)
SINFO = _options("noheader format= partition= Node version", "h:noheader o:format p:partition N:Node V:version")
SCANCEL = _options(
    "signal= batch full quiet user= name= state= partition= me verbose version",
    "s:signal b:batch f:full Q:quiet u:user n:name t:state p:partition v:verbose V:version",
)
SCONTROL = _options("oneliner all details quiet version", "o:oneliner a:all d:details Q:quiet V:version")
