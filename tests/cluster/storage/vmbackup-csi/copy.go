package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lockWait is how long a cut waits for the writers of a volume.
const lockWait = 5 * time.Second

// lockExclusive takes the exclusive flock on a directory. It returns the function that gives it back, and whether it was
// had within wait; without it the function does nothing. A cancelled ctx or a missing directory are errors.
func lockExclusive(ctx context.Context, dir string, wait time.Duration) (unlock func(), locked bool, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, false, err
	}
	deadline := time.Now().Add(wait)
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, true, nil // closing the only descriptor gives the lock back
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, false, err
		}
		if time.Now().After(deadline) {
			f.Close()
			return func() {}, false, nil
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, false, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// copyTree copies directory src to dst, which must not exist. Files stay sparse and share their blocks where the file
// system can; modes, times and (as far as we may) owners are kept; hard links become files of their own; sockets, pipes
// and devices are left out, as are entries that vanish while we read. Extended attributes are not copied.
// A failed copy leaves a partial dst behind: the caller removes it.
func copyTree(src, dst string) error {
	info, err := os.Lstat(src)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dst, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(src)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		from, to := filepath.Join(src, entry.Name()), filepath.Join(dst, entry.Name())
		switch entry.Type() {
		case fs.ModeDir:
			err = copyTree(from, to)
		case fs.ModeSymlink:
			err = copyLink(from, to)
		case 0:
			err = copyFile(from, to)
		}
		if errors.Is(err, fs.ErrNotExist) {
			if _, gone := os.Lstat(from); errors.Is(gone, fs.ErrNotExist) {
				err = nil
			}
		}
		if err != nil {
			return err
		}
	}
	return keepAttributes(dst, info)
}

func copyLink(src, dst string) error {
	target, err := os.Readlink(src)
	if err != nil {
		return err
	}
	return os.Symlink(target, dst)
}

// copyFile copies a regular file of any size; holes stay holes.
func copyFile(src, dst string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) != nil {
		err = copyData(in, out, info.Size())
	}
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return keepAttributes(dst, info)
}

// copyData copies what is data in the first size bytes of in, and gives out that size.
func copyData(in, out *os.File, size int64) error {
	for offset := int64(0); offset < size; {
		data, err := in.Seek(offset, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // only a hole is left
		}
		if err != nil {
			return err
		}
		end, err := in.Seek(data, unix.SEEK_HOLE)
		if errors.Is(err, unix.ENXIO) {
			break // truncated under our hands
		}
		if err != nil {
			return err
		}
		end = min(end, size)
		if _, err := in.Seek(data, io.SeekStart); err != nil {
			return err
		}
		if _, err := out.Seek(data, io.SeekStart); err != nil {
			return err
		}
		if end > data {
			if _, err := io.CopyN(out, in, end-data); err != nil && err != io.EOF {
				return err
			}
		}
		offset = max(end, data+1)
	}
	return out.Truncate(size)
}

// keepAttributes gives path the owner, mode and time in info. Owners are best effort: in a user namespace most are not ours
// to give. Owner first, as changing it may take away mode bits.
func keepAttributes(path string, info fs.FileInfo) error {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		_ = os.Lchown(path, int(st.Uid), int(st.Gid))
	}
	if err := os.Chmod(path, info.Mode()); err != nil {
		return err
	}
	return os.Chtimes(path, time.Time{}, info.ModTime())
}
