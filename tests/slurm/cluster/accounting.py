"""slurmdbd and the MariaDB under it, both of the cluster's own."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.slurm.cluster.config import Shape, write_slurmdbd_file
from tests.slurm.cluster.processes import Daemon, wait_until


class Accounting:
    """The database of finished jobs.

    Args:
        folder: The cluster's folder.
        shape: What it looks like.
        environment: For daemons and commands.
    """

    def __init__(self, folder: Path, shape: Shape, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.shape = shape
        self.environment = environment
        self._data = folder / "mysql"
        self.slurmdbd = Daemon("slurmdbd", folder, ("slurmdbd", "-D"))
        self.mariadb = Daemon(
            "mariadbd",
            folder,
            (
                "mariadbd",
                "--no-defaults",
                "--user=root",
                f"--datadir={self._data}",
                f"--socket={self._data}/socket",
                "--bind-address=127.0.0.1",
                f"--port={shape.port + 2}",
                "--innodb-buffer-pool-size=64M",
                # slurmdbd warns below this (slurm.schedmd.com/accounting.html).
                "--innodb-lock-wait-timeout=900",
                # A test's database need not survive a power cut.
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-doublewrite=0",
                "--performance-schema=OFF",
                "--skip-log-bin",
                "--skip-name-resolve",
            ),
        )

    def start(self) -> None:
        """Makes the database where there is none, and starts both daemons."""
        self._make_database()
        self.mariadb.start(self.environment)
        wait_until("MariaDB answers", lambda: self._sql("select 1") == 0, 30)
        password = self._password()
        self._sql(
            f"create user if not exists 'slurm'@'127.0.0.1' identified by '{password}';"
            "grant all on slurm_acct.* to 'slurm'@'127.0.0.1';"
        )
        write_slurmdbd_file(self.folder, self.shape, password)
        self.start_slurmdbd()
        self._run("sacctmgr", "--immediate", "add", "cluster", "test")

    def start_slurmdbd(self) -> None:
        """Starts slurmdbd alone and waits until it answers."""
        self.slurmdbd.start(self.environment)
        wait_until("slurmdbd answers", lambda: self._run("sacctmgr", "--noheader", "show", "cluster") == 0, 30)

    def stop(self) -> None:
        """Ends both."""
        self.slurmdbd.stop()
        self.mariadb.stop()

    def _make_database(self) -> None:
        if (self._data / "mysql").is_dir():
            return
        subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                "--user=root",
                f"--datadir={self._data}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            env=self.environment,
            capture_output=True,
            check=True,
        )

    def _password(self) -> str:
        path = self.folder / "etc" / "password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(16))
        return path.read_text()

    def _sql(self, statements: str) -> int:
        return self._run(
            "mariadb", "--no-defaults", "--user=root", f"--socket={self._data}/socket", "--execute", statements
        )

    def _run(self, *command: str) -> int:
        return subprocess.run(command, env=self.environment, capture_output=True, timeout=30, check=False).returncode
