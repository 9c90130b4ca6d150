package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sparseFile makes a file of size bytes with text at the given offset.
func sparseFile(t *testing.T, path string, size, offset int64, text string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(size))
	_, err = f.WriteAt([]byte(text), offset)
	must(t, err)
}

func allocated(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

func TestCopyTreeKeepsWhatMatters(t *testing.T) {
	root := t.TempDir()
	src, dst := filepath.Join(root, "src"), filepath.Join(root, "dst")
	must(t, os.MkdirAll(filepath.Join(src, "a", "empty"), 0o750))
	must(t, os.WriteFile(filepath.Join(src, "a", "file"), []byte("content"), 0o640))
	must(t, os.WriteFile(filepath.Join(src, "nothing"), nil, 0o600))
	must(t, os.Symlink("a/file", filepath.Join(src, "link")))
	must(t, os.Symlink("/nowhere/at/all", filepath.Join(src, "dangling")))
	must(t, unix.Mkfifo(filepath.Join(src, "pipe"), 0o600))
	when := time.Unix(1_600_000_000, 123)
	must(t, os.Chtimes(filepath.Join(src, "a", "file"), when, when))
	must(t, os.Chmod(src, 0o711))

	must(t, copyTree(src, dst))

	text, err := os.ReadFile(filepath.Join(dst, "link"))
	if err != nil || string(text) != "content" {
		t.Errorf("through the link: %q, %v", text, err)
	}
	if target, err := os.Readlink(filepath.Join(dst, "dangling")); target != "/nowhere/at/all" {
		t.Errorf("dangling link: %q, %v", target, err)
	}
	if _, err := os.Lstat(filepath.Join(dst, "pipe")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("pipe was copied: %v", err)
	}
	for path, mode := range map[string]os.FileMode{"": 0o711, "a/empty": 0o750, "a/file": 0o640, "nothing": 0o600} {
		info, err := os.Stat(filepath.Join(dst, path))
		must(t, err)
		if info.Mode().Perm() != mode {
			t.Errorf("%q: mode %v, want %v", path, info.Mode().Perm(), mode)
		}
	}
	info, err := os.Stat(filepath.Join(dst, "a", "file"))
	must(t, err)
	if !info.ModTime().Equal(when) {
		t.Errorf("time %v, want %v", info.ModTime(), when)
	}
	if err := copyTree(src, dst); err == nil {
		t.Error("copied over an existing directory")
	}
}

func TestCopiedFilesStaySparse(t *testing.T) {
	const size = 256 << 20
	for _, c := range []struct {
		name   string
		offset int64
		text   string
	}{
		{"all hole", 0, ""},
		{"data first", 0, "head"},
		{"data in the middle", 100<<20 + 17, "middle"},
		{"data last", size - 4, "tail"},
	} {
		dir := t.TempDir()
		src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
		sparseFile(t, src, size, c.offset, c.text)
		if allocated(t, src) > size/2 {
			t.Skip("this file system has no sparse files")
		}
		must(t, copyFile(src, dst))
		f, err := os.Open(dst)
		must(t, err)
		got := make([]byte, len(c.text))
		if _, err := f.ReadAt(got, c.offset); err != nil || !bytes.Equal(got, []byte(c.text)) {
			t.Errorf("%s: got %q, %v", c.name, got, err)
		}
		info, err := f.Stat()
		must(t, err)
		f.Close()
		if info.Size() != size || allocated(t, dst) > 1<<20 {
			t.Errorf("%s: size %d, %d bytes allocated", c.name, info.Size(), allocated(t, dst))
		}
	}
}

func TestLockWaitsForWriters(t *testing.T) {
	dir := t.TempDir()
	writer, err := os.Open(dir)
	must(t, err)
	must(t, unix.Flock(int(writer.Fd()), unix.LOCK_SH))

	unlock, locked, err := lockExclusive(context.Background(), dir, 20*time.Millisecond)
	if err != nil || locked {
		t.Fatalf("against a writer: locked %v, %v", locked, err)
	}
	unlock()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := lockExclusive(ended, dir, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}

	must(t, writer.Close())
	unlock, locked, err = lockExclusive(context.Background(), dir, time.Hour)
	if err != nil || !locked {
		t.Fatalf("after the writer: locked %v, %v", locked, err)
	}
	writer, err = os.Open(dir)
	must(t, err)
	defer writer.Close()
	if err := unix.Flock(int(writer.Fd()), unix.LOCK_SH|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("a writer came in during the cut: %v", err)
	}
	unlock()
	if err := unix.Flock(int(writer.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		t.Errorf("a writer is kept out after the cut: %v", err)
	}
	if _, _, err := lockExclusive(context.Background(), filepath.Join(dir, "missing"), time.Hour); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
}
