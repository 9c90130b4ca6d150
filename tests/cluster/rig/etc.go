package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// runWithEtc replaces this process by argv with a private /etc that also holds virt-controller/{exportca,backupca}:
// virt-controller reads its two CAs from these fixed paths (pkg/storage/export, pkg/storage/cbt), and nothing of
// that may touch the machine's own /etc. To be called in a mount namespace of our own. scratch is an empty folder,
// certs has kubevirt-export-ca/ and kubevirt-backup-ca/ with tls.crt and tls.key.
func runWithEtc(scratch, certs string, argv []string) error {
	etc, orig := filepath.Join(scratch, "etc"), filepath.Join(scratch, "orig")
	for _, dir := range []string{etc, orig} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	mount := func(source, target, kind string, flags uintptr) error {
		if err := unix.Mount(source, target, kind, flags, ""); err != nil {
			return fmt.Errorf("mount %s on %s: %w", source, target, err)
		}
		return nil
	}
	if err := mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE); err != nil {
		return err
	}
	if err := mount("/etc", orig, "", unix.MS_BIND|unix.MS_REC); err != nil {
		return err
	}
	if err := mount("tmpfs", etc, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV); err != nil {
		return err
	}
	entries, err := os.ReadDir(orig)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == "virt-controller" {
			continue
		}
		if err := os.Symlink(filepath.Join(orig, e.Name()), filepath.Join(etc, e.Name())); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(etc, "virt-controller"), 0o755); err != nil {
		return err
	}
	for name, secret := range map[string]string{"exportca": "kubevirt-export-ca", "backupca": "kubevirt-backup-ca"} {
		if err := os.Symlink(filepath.Join(certs, secret), filepath.Join(etc, "virt-controller", name)); err != nil {
			return err
		}
	}
	if err := mount(etc, "/etc", "", unix.MS_BIND); err != nil {
		return err
	}
	// The death signal survives exec, but not the change of identity a user namespace brings.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	return syscall.Exec(argv[0], argv, os.Environ())
}
