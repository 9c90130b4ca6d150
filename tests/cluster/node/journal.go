package main

// The journal: how a copy of a guest's disks shows what the guest was doing when it was made.
//
// Record n is the line "<n> <fnv32a of the decimal digits of n, 8 hex digits>\n". Disk 1 gets every record, disk k
// every k-th; whatever a running guest wrote last is half a record, so a disk is never tidy while nobody holds the
// guest. A freeze (or a clean shutdown) cuts the half record off, appends one more record N to every disk, and
// leaves the mark "<N> frozen" (or "<N> shutdown") on each; a thaw removes the marks and writing goes on at N+1.
//
//	filesystem volume (a directory): the text is the file journal.log, the mark is the content of the file `clean`
//	block volume (a directory with disk.img): the text starts at offset 0 and ends at the first zero byte; the mark
//	    is one more line "mark <N> frozen\n" right behind the last record (behind the text, not at the end of the
//	    device, so that a volume restored larger keeps it)
//
// One record is one instant: the writer holds a shared flock on every volume directory while it writes to any of
// them, and the CSI driver holds an exclusive one while it copies.

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	verdictClean = "clean" // every disk carries the same mark and ends with the record it names
	verdictCrash = "crash" // no marks, but all disks are from one instant
	verdictTorn  = "torn"  // anything else
	verdictEmpty = "empty" // no journal on any disk
)

const (
	journalFile = "journal.log"
	markFile    = "clean"
	blockFile   = "disk.img"
	markWord    = "mark "
)

// Verdict is what check-disks prints and what the boot event carries.
type Verdict struct {
	Verdict string   `json:"verdict"`
	Last    []int64  `json:"last"`    // last complete record of each disk, -1 where there is no journal or no disk
	Mark    []string `json:"mark"`    // the mark of each disk, "" where there is none
	Reasons []string `json:"reasons"` // why not clean
}

func record(n int64) string {
	digits := strconv.FormatInt(n, 10)
	h := fnv.New32a()
	h.Write([]byte(digits))
	return fmt.Sprintf("%s %08x\n", digits, h.Sum32())
}

// disk is one volume that a guest writes its journal to.
type disk struct {
	name  string // volume name in the VMI
	dir   *os.File
	file  *os.File
	block bool
	k     int64
	end   int64 // offset behind the last complete record
	dirty int64 // block only: offset behind the last byte ever written
}

func isBlockDir(path string) bool {
	_, err := os.Stat(filepath.Join(path, blockFile))
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(path, journalFile))
	return errors.Is(err, os.ErrNotExist)
}

func openDisk(name, path string, block bool, k int64) (*disk, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	file := journalFile
	if block {
		file = blockFile
	}
	f, err := os.OpenFile(filepath.Join(path, file), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		dir.Close()
		return nil, err
	}
	return &disk{name: name, dir: dir, file: f, block: block, k: k}, nil
}

func (d *disk) close() {
	d.file.Close()
	d.dir.Close()
}

// put writes text behind the last complete record; the first `whole` bytes of it are complete records.
// With `tidy`, nothing else is left behind text.
func (d *disk) put(text string, whole int, tidy bool) error {
	data := []byte(text)
	written := d.end + int64(len(data))
	if d.block && d.dirty > written {
		data = append(data, make([]byte, d.dirty-written)...)
	}
	if len(data) > 0 {
		if _, err := d.file.WriteAt(data, d.end); err != nil {
			return err
		}
	}
	if tidy && !d.block {
		if err := d.file.Truncate(written); err != nil {
			return err
		}
	}
	d.dirty = written
	d.end += int64(whole)
	return nil
}

func (d *disk) setMark(n int64, why string) error {
	mark := fmt.Sprintf("%d %s\n", n, why)
	if d.block {
		return d.put(markWord+mark, 0, true)
	}
	return os.WriteFile(filepath.Join(d.dir.Name(), markFile), []byte(mark), 0o644)
}

func (d *disk) clearMark() error {
	if d.block {
		return d.put("", 0, true)
	}
	err := os.Remove(filepath.Join(d.dir.Name(), markFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Journal writes to all disks of one guest. Not safe for concurrent use: the guest's lock guards it.
type Journal struct {
	disks []*disk
	n     int64
}

// JournalDisk names one disk for OpenJournal; the order of the slice is the disk order.
type JournalDisk struct {
	Name  string
	Path  string
	Block bool
}

// OpenJournal looks at what the disks hold, as a guest does at boot, then makes them writable again: half records
// and marks go, and every disk gets the same next record. The verdict is about the state found.
func OpenJournal(specs []JournalDisk) (*Journal, Verdict, error) {
	paths := make([]string, len(specs))
	for i, s := range specs {
		paths[i] = s.Path
	}
	found := CheckDisks(paths)
	j := &Journal{}
	for i, s := range specs {
		d, err := openDisk(s.Name, s.Path, s.Block, int64(i)+1)
		if err != nil {
			j.Close()
			return nil, found, err
		}
		j.disks = append(j.disks, d)
		text, _ := readJournalText(s.Path, s.Block)
		good, last, _, _ := scan(text)
		d.end, d.dirty = int64(good), int64(len(text))
		j.n = max(j.n, last)
	}
	return j, found, j.sync("")
}

// Add appends a disk (hotplug) behind the others.
func (j *Journal) Add(s JournalDisk) error {
	d, err := openDisk(s.Name, s.Path, s.Block, int64(len(j.disks))+1)
	if err != nil {
		return err
	}
	text, _ := readJournalText(s.Path, s.Block)
	good, _, _, _ := scan(text)
	d.end, d.dirty = int64(good), int64(len(text))
	if err := d.clearMark(); err != nil {
		d.close()
		return err
	}
	j.disks = append(j.disks, d)
	return nil
}

// Remove takes a disk away (unplug); the number of every other disk stays.
func (j *Journal) Remove(name string) {
	for i, d := range j.disks {
		if d.name == name {
			d.close()
			j.disks = append(j.disks[:i], j.disks[i+1:]...)
			return
		}
	}
}

func (j *Journal) Names() []string {
	var names []string
	for _, d := range j.disks {
		names = append(names, d.name)
	}
	return names
}

func (j *Journal) Last() int64 { return j.n }

func (j *Journal) Close() {
	for _, d := range j.disks {
		d.close()
	}
	j.disks = nil
}

// locked runs write while all volume directories are held with a shared lock.
func (j *Journal) locked(write func() error) error {
	for i, d := range j.disks {
		if err := flock(d.dir, syscall.LOCK_SH); err != nil {
			for _, held := range j.disks[:i] {
				flock(held.dir, syscall.LOCK_UN)
			}
			return err
		}
	}
	defer func() {
		for _, d := range j.disks {
			flock(d.dir, syscall.LOCK_UN)
		}
	}()
	return write()
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if err != syscall.EINTR {
			return err
		}
	}
}

// Tick writes the next record to the disks whose turn it is, and half of the one after it.
func (j *Journal) Tick() error {
	if len(j.disks) == 0 {
		return nil
	}
	return j.locked(func() error {
		j.n++
		for _, d := range j.disks {
			if j.n%d.k != 0 {
				continue
			}
			whole, next := record(j.n), record(j.n+d.k)
			if err := d.put(whole+next[:len(next)/2], len(whole), false); err != nil {
				return err
			}
		}
		return nil
	})
}

// Freeze brings every disk to the same last record and marks it.
func (j *Journal) Freeze() error { return j.sync("frozen") }

// Shutdown is Freeze by a clean shutdown.
func (j *Journal) Shutdown() error { return j.sync("shutdown") }

func (j *Journal) sync(why string) error {
	return j.locked(func() error {
		j.n++
		whole := record(j.n)
		for _, d := range j.disks {
			if why == "" {
				if err := d.clearMark(); err != nil {
					return err
				}
			}
			if err := d.put(whole, len(whole), true); err != nil {
				return err
			}
			if why != "" {
				if err := d.setMark(j.n, why); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Thaw removes the marks and leaves each disk with half a record, as a running guest does.
func (j *Journal) Thaw() error {
	return j.locked(func() error {
		for _, d := range j.disks {
			if err := d.clearMark(); err != nil {
				return err
			}
			next := record((j.n/d.k + 1) * d.k)
			if err := d.put(next[:len(next)/2], 0, false); err != nil {
				return err
			}
		}
		return nil
	})
}

// readJournalText returns the journal of one volume directory: for block volumes what comes before the first zero byte.
func readJournalText(path string, block bool) ([]byte, error) {
	if !block {
		text, err := os.ReadFile(filepath.Join(path, journalFile))
		if errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
		return text, err
	}
	f, err := os.Open(filepath.Join(path, blockFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var text []byte
	chunk := make([]byte, 64<<10)
	for {
		n, err := f.Read(chunk)
		if zero := bytes.IndexByte(chunk[:n], 0); zero >= 0 {
			return append(text, chunk[:zero]...), nil
		}
		text = append(text, chunk[:n]...)
		if err == io.EOF {
			return text, nil
		}
		if err != nil {
			return text, err
		}
	}
}

// scan reads records until one is wrong: good is the length of the right ones, last the number of the last of them
// (-1: none), mark the content of a mark line behind them, rest what is left.
func scan(text []byte) (good int, last int64, mark string, rest []byte) {
	last = -1
	for {
		nl := bytes.IndexByte(text[good:], '\n')
		if nl < 0 {
			return good, last, "", text[good:]
		}
		line := string(text[good : good+nl+1])
		if m, ok := strings.CutPrefix(line, markWord); ok {
			return good, last, strings.TrimSpace(m), text[good+nl+1:]
		}
		digits, _, _ := strings.Cut(line, " ")
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n <= last || line != record(n) {
			return good, last, "", text[good:]
		}
		good += nl + 1
		last = n
	}
}

// CheckDisks reads copies of a guest's disks, in disk order, and says whether they are of one instant, and whether
// the guest was held then. The path "-" stands for a disk of which there is no copy.
func CheckDisks(paths []string) Verdict {
	v := Verdict{Last: []int64{}, Mark: []string{}, Reasons: []string{}}
	var present, empty, marked int
	low, high := int64(0), int64(1)<<62 // the ticks at which every disk seen so far could look as it does
	for i, path := range paths {
		k := int64(i) + 1
		v.Last, v.Mark = append(v.Last, -1), append(v.Mark, "")
		if path == "-" {
			continue
		}
		present++
		bad := func(format string, args ...any) {
			v.Verdict = verdictTorn
			v.Reasons = append(v.Reasons, fmt.Sprintf("disk %d: %s", k, fmt.Sprintf(format, args...)))
		}
		block := isBlockDir(path)
		text, err := readJournalText(path, block)
		if err != nil {
			bad("%v", err)
			continue
		}
		_, last, mark, rest := scan(text)
		if !block {
			if b, err := os.ReadFile(filepath.Join(path, markFile)); err == nil {
				mark = strings.TrimSpace(string(b))
			}
		}
		v.Last[i], v.Mark[i] = last, mark
		if last < 0 && mark == "" && len(rest) == 0 {
			empty++
			continue
		}
		if last < 0 {
			bad("no complete record")
			continue
		}
		if mark != "" {
			marked++
			if !strings.HasPrefix(mark, strconv.FormatInt(last, 10)+" ") {
				bad("the mark says %q, the last record is %d", mark, last)
			}
			if len(rest) != 0 {
				bad("marked %q, but %d bytes follow the last record", mark, len(rest))
			}
		} else if next := record((last/k + 1) * k); len(rest) != 0 && string(rest) != next[:len(next)/2] {
			bad("%d bytes after record %d are not the half of a next record", len(rest), last)
		}
		low, high = max(low, last), min(high, (last/k+1)*k-1)
	}
	switch {
	case v.Verdict != "":
	case empty == present:
		v.Verdict = verdictEmpty
	case empty > 0:
		v.Verdict = verdictTorn
		v.Reasons = append(v.Reasons, fmt.Sprintf("%d of %d disks have no journal", empty, present))
	case marked == present:
		v.Verdict = verdictClean
		first := ""
		for i, mark := range v.Mark {
			if paths[i] == "-" {
				continue
			}
			if first == "" {
				first = mark
			}
			if mark != first {
				v.Verdict = verdictTorn
				v.Reasons = append(v.Reasons, fmt.Sprintf("marks differ: %q and %q", first, mark))
			}
		}
	case marked > 0:
		v.Verdict = verdictTorn
		v.Reasons = append(v.Reasons, fmt.Sprintf("%d of %d disks are marked clean", marked, present))
	case low > high:
		v.Verdict = verdictTorn
		v.Reasons = append(v.Reasons, fmt.Sprintf("no instant fits the last records %v", v.Last))
	default:
		v.Verdict = verdictCrash
		v.Reasons = append(v.Reasons, "no mark")
	}
	return v
}
