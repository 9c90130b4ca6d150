package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newDisks makes n volume directories, the last one in block mode.
func newDisks(t *testing.T, n int) []JournalDisk {
	t.Helper()
	var specs []JournalDisk
	for i := range n {
		dir := filepath.Join(t.TempDir(), "vol")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		spec := JournalDisk{Name: "d" + string(rune('1'+i)), Path: dir}
		if i == n-1 && n > 1 {
			spec.Block = true
			f, err := os.Create(filepath.Join(dir, blockFile))
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Truncate(1 << 20); err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
		specs = append(specs, spec)
	}
	return specs
}

// copyDisk is a cut of one disk.
func copyDisk(t *testing.T, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(path)); err != nil {
		t.Fatal(err)
	}
	return to
}

func copyAll(t *testing.T, specs []JournalDisk) []string {
	var paths []string
	for _, s := range specs {
		paths = append(paths, copyDisk(t, s.Path))
	}
	return paths
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ticks(t *testing.T, j *Journal, n int) {
	t.Helper()
	for range n {
		must(t, j.Tick())
	}
}

func wantVerdict(t *testing.T, v Verdict, want string) {
	t.Helper()
	if v.Verdict != want {
		t.Fatalf("verdict %+v, want %s", v, want)
	}
}

func TestNewDisksAreEmpty(t *testing.T) {
	specs := newDisks(t, 3)
	j, found, err := OpenJournal(specs)
	must(t, err)
	defer j.Close()
	wantVerdict(t, found, verdictEmpty)
}

func TestCopyAtOneInstantIsCrash(t *testing.T) {
	specs := newDisks(t, 4)
	j, _, err := OpenJournal(specs)
	must(t, err)
	defer j.Close()
	for range 40 { // every phase of the pattern, also right behind a freeze
		ticks(t, j, 1)
		wantVerdict(t, CheckDisks(copyAll(t, specs)), verdictCrash)
		if j.Last()%7 == 0 {
			must(t, j.Freeze())
			wantVerdict(t, CheckDisks(copyAll(t, specs)), verdictClean)
			must(t, j.Thaw())
			wantVerdict(t, CheckDisks(copyAll(t, specs)), verdictCrash)
		}
	}
}

func TestDisksCutAtDifferentInstantsAreTorn(t *testing.T) {
	specs := newDisks(t, 2)
	j, _, err := OpenJournal(specs)
	must(t, err)
	defer j.Close()
	ticks(t, j, 11)
	first := copyDisk(t, specs[0].Path)
	ticks(t, j, 2) // the second disk's next turn
	v := CheckDisks([]string{first, copyDisk(t, specs[1].Path)})
	wantVerdict(t, v, verdictTorn)

	second := copyDisk(t, specs[1].Path)
	ticks(t, j, 2)
	wantVerdict(t, CheckDisks([]string{copyDisk(t, specs[0].Path), second}), verdictTorn)
}

func TestThawBetweenTwoCutsIsTorn(t *testing.T) {
	specs := newDisks(t, 3)
	j, _, err := OpenJournal(specs)
	must(t, err)
	defer j.Close()
	ticks(t, j, 5)
	must(t, j.Freeze())
	first := copyDisk(t, specs[0].Path)
	must(t, j.Thaw())
	ticks(t, j, 6)
	wantVerdict(t, CheckDisks([]string{first, copyDisk(t, specs[1].Path), copyDisk(t, specs[2].Path)}), verdictTorn)

	// Two freezes are not one either, though every disk is marked.
	must(t, j.Freeze())
	v := CheckDisks([]string{first, copyDisk(t, specs[1].Path), copyDisk(t, specs[2].Path)})
	wantVerdict(t, v, verdictTorn)
	if !strings.Contains(strings.Join(v.Reasons, ";"), "marks differ") {
		t.Fatalf("reasons %v", v.Reasons)
	}
}

func TestFrozenAndShutDownCopiesAreClean(t *testing.T) {
	specs := newDisks(t, 3)
	j, _, err := OpenJournal(specs)
	must(t, err)
	defer j.Close()
	ticks(t, j, 7)
	must(t, j.Freeze())
	v := CheckDisks(copyAll(t, specs))
	wantVerdict(t, v, verdictClean)
	if v.Mark[0] != "9 frozen" { // boot wrote record 1, seven ticks follow
		t.Fatalf("mark %q", v.Mark[0])
	}
	must(t, j.Thaw())
	ticks(t, j, 1)
	must(t, j.Shutdown())
	wantVerdict(t, CheckDisks(copyAll(t, specs)), verdictClean)
}

func TestMissingOrDamagedDiskIsTorn(t *testing.T) {
	specs := newDisks(t, 3)
	j, _, err := OpenJournal(specs)
	must(t, err)
	defer j.Close()
	ticks(t, j, 9)
	must(t, j.Freeze())
	cut := copyAll(t, specs)
	wantVerdict(t, CheckDisks(cut), verdictClean)
	wantVerdict(t, CheckDisks([]string{cut[0], "-", cut[2]}), verdictClean)
	wantVerdict(t, CheckDisks([]string{cut[0], t.TempDir(), cut[2]}), verdictTorn)

	text, err := os.ReadFile(filepath.Join(cut[0], journalFile))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(cut[0], journalFile), append(text, "12 "...), 0o644))
	wantVerdict(t, CheckDisks(cut), verdictTorn)
	text[len(text)/2] ^= 1
	must(t, os.WriteFile(filepath.Join(cut[0], journalFile), text, 0o644))
	wantVerdict(t, CheckDisks(cut), verdictTorn)
	must(t, os.Remove(filepath.Join(cut[0], markFile)))
	wantVerdict(t, CheckDisks(cut), verdictTorn)
}

func TestBootGoesOnWhereTheDisksEnded(t *testing.T) {
	specs := newDisks(t, 3)
	j, _, err := OpenJournal(specs)
	must(t, err)
	ticks(t, j, 20)
	j.Close() // power lost
	j, found, err := OpenJournal(specs)
	must(t, err)
	wantVerdict(t, found, verdictCrash)
	if found.Last[0] != 21 || j.Last() != 22 {
		t.Fatalf("found %v, goes on at %d", found.Last, j.Last())
	}
	ticks(t, j, 1)
	wantVerdict(t, CheckDisks(copyAll(t, specs)), verdictCrash)
	must(t, j.Shutdown())
	j.Close()
	j, found, err = OpenJournal(specs)
	must(t, err)
	defer j.Close()
	wantVerdict(t, found, verdictClean)
	wantVerdict(t, CheckDisks(copyAll(t, specs)), verdictCrash)
}

func TestBlockVolumeKeepsItsMarkWhenItGrows(t *testing.T) {
	specs := newDisks(t, 2)
	j, _, err := OpenJournal(specs)
	must(t, err)
	defer j.Close()
	ticks(t, j, 4)
	must(t, j.Freeze())
	must(t, os.Truncate(filepath.Join(specs[1].Path, blockFile), 2<<20))
	wantVerdict(t, CheckDisks(copyAll(t, specs)), verdictClean)
}
