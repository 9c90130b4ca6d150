package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// rig is a driver on an empty state folder.
type rig struct {
	*testing.T
	*driver
	state string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	state := t.TempDir()
	d, err := newDriver(state, "csi.vmbackup.test", true)
	must(t, err)
	return &rig{t, d, state}
}

func ctx() context.Context { return context.Background() }

func request(pvc string, block bool, size int64, class map[string]string, source *csi.VolumeContentSource) *csi.CreateVolumeRequest {
	capability := &csi.VolumeCapability{AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}}}
	if block {
		capability.AccessType = &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}
	}
	parameters := map[string]string{sidecarPrefix + "pvc/name": pvc, sidecarPrefix + "pvc/namespace": "ns"}
	for key, value := range class {
		parameters[key] = value
	}
	return &csi.CreateVolumeRequest{Name: "pvc-" + pvc, Parameters: parameters, VolumeContentSource: source,
		VolumeCapabilities: []*csi.VolumeCapability{capability}, CapacityRange: &csi.CapacityRange{RequiredBytes: size}}
}

func fromSnapshot(id string) *csi.VolumeContentSource {
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
		Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: id}}}
}

// volume makes a volume and returns its id and directory.
func (r *rig) volume(request *csi.CreateVolumeRequest) (id, dir string) {
	r.Helper()
	response, err := r.CreateVolume(ctx(), request)
	must(r.T, err)
	return response.Volume.VolumeId, response.Volume.VolumeContext["path"]
}

func (r *rig) snapshot(name, volume string, class map[string]string) (*csi.Snapshot, error) {
	parameters := map[string]string{sidecarPrefix + "volumesnapshot/name": "vs-" + name, sidecarPrefix + "volumesnapshot/namespace": "ns"}
	for key, value := range class {
		parameters[key] = value
	}
	response, err := r.CreateSnapshot(ctx(), &csi.CreateSnapshotRequest{Name: name, SourceVolumeId: volume, Parameters: parameters})
	return response.GetSnapshot(), err
}

// eventsNamed reads the log's lines of one kind.
func (r *rig) eventsNamed(kind string) (found []event) {
	r.Helper()
	text, err := os.ReadFile(filepath.Join(r.state, "csi-events.jsonl"))
	must(r.T, err)
	for line := range strings.Lines(string(text)) {
		var e event
		must(r.T, json.Unmarshal([]byte(line), &e))
		if e.Event == kind {
			found = append(found, e)
		}
	}
	return found
}

func wantCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func TestCutAndRestoreOfAFilesystem(t *testing.T) {
	r := newRig(t)
	id, dir := r.volume(request("d1", false, 1<<20, nil, nil))
	must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("one"), 0o644))
	before := monotonic()
	s, err := r.snapshot("s1", id, nil)
	must(t, err)
	if !s.ReadyToUse || s.SizeBytes != 1<<20 || s.SourceVolumeId != id {
		t.Errorf("snapshot %v", s)
	}
	must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("two"), 0o644))
	again, err := r.snapshot("s1", id, nil)
	must(t, err)
	if !again.CreationTime.AsTime().Equal(s.CreationTime.AsTime()) {
		t.Error("the repeated request made another cut")
	}
	_, back := r.volume(request("back", false, 2<<20, nil, fromSnapshot(s.SnapshotId)))
	if text, err := os.ReadFile(filepath.Join(back, "file")); string(text) != "one" {
		t.Errorf("restored %q, %v", text, err)
	}

	cuts := r.eventsNamed("cut")
	if len(cuts) != 1 {
		t.Fatalf("%d cuts, want 1", len(cuts))
	}
	c := cuts[0]
	if c.PVC != "ns/d1" || c.VolumeSnapshot != "ns/vs-s1" || c.Volume != id || c.SnapshotHandle != s.SnapshotId || c.Snapshot != "s1" ||
		c.Locked == nil || !*c.Locked || c.Start < before || c.End < c.Start || c.Mono < c.End {
		t.Errorf("event %+v", c)
	}

	_, err = r.CreateVolume(ctx(), request("small", false, 1<<10, nil, fromSnapshot(s.SnapshotId)))
	wantCode(t, "smaller than the snapshot", err, codes.OutOfRange)
	_, err = r.CreateVolume(ctx(), request("raw", true, 2<<20, nil, fromSnapshot(s.SnapshotId)))
	wantCode(t, "another volume mode", err, codes.InvalidArgument)
	_, err = r.CreateVolume(ctx(), request("none", false, 2<<20, nil, fromSnapshot("none")))
	wantCode(t, "no such snapshot", err, codes.NotFound)
	_, err = r.snapshot("s2", "none", nil)
	wantCode(t, "no such volume", err, codes.NotFound)

	_, err = r.DeleteVolume(ctx(), &csi.DeleteVolumeRequest{VolumeId: id})
	must(t, err)
	_, err = r.DeleteSnapshot(ctx(), &csi.DeleteSnapshotRequest{SnapshotId: s.SnapshotId})
	must(t, err)
	for _, gone := range []string{dir, filepath.Join(r.state, "snapshots", s.SnapshotId)} {
		if _, err := os.Stat(gone); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", gone, err)
		}
	}
	_, err = r.DeleteSnapshot(ctx(), &csi.DeleteSnapshotRequest{SnapshotId: "../volumes/" + filepath.Base(back)})
	must(t, err)
	if _, err := os.Stat(back); err != nil {
		t.Errorf("an id with a path in it reached another volume: %v", err)
	}
}

func TestBlockVolumeIsASparseFileThatGrows(t *testing.T) {
	r := newRig(t)
	id, dir := r.volume(request("raw", true, 64<<20, nil, nil))
	disk := filepath.Join(dir, diskFile)
	f, err := os.OpenFile(disk, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString("journal")
	must(t, err)
	must(t, f.Close())
	s, err := r.snapshot("s", id, nil)
	must(t, err)
	back, dir := r.volume(request("back", true, 128<<20, nil, fromSnapshot(s.SnapshotId)))
	disk = filepath.Join(dir, diskFile)
	for _, size := range []int64{128 << 20, 256 << 20} {
		response, err := r.ControllerExpandVolume(ctx(), &csi.ControllerExpandVolumeRequest{VolumeId: back,
			CapacityRange: &csi.CapacityRange{RequiredBytes: size}})
		must(t, err)
		info, err := os.Stat(disk)
		must(t, err)
		if response.CapacityBytes != size || response.NodeExpansionRequired || info.Size() != size || allocated(t, disk) > 1<<20 {
			t.Errorf("answer %v, file of %d bytes, %d allocated", response, info.Size(), allocated(t, disk))
		}
	}
	f, err = os.Open(disk)
	must(t, err)
	defer f.Close()
	text := make([]byte, 7)
	if _, err := f.Read(text); string(text) != "journal" {
		t.Errorf("restored %q, %v", text, err)
	}
}

func TestVolumesRememberTheirStorageClass(t *testing.T) {
	r := newRig(t)
	class := map[string]string{"failSnapshots": "first:1:no room", "failSnapshots@healthy": "none", "failCode": "UNAVAILABLE",
		"readyDelay": "never", "failDeleteSnapshot": "first:1", "failDelete": "first:1"}
	id, _ := r.volume(request("sick", false, 1, class, nil))
	healthy, _ := r.volume(request("healthy", false, 1, class, nil))

	// A driver that was restarted knows the volumes, and counts anew.
	d, err := newDriver(r.state, "csi.vmbackup.test", true)
	must(t, err)
	r.driver = d
	_, err = r.snapshot("s1", id, nil)
	wantCode(t, "first attempt", err, codes.Unavailable)
	if message := status.Convert(err).Message(); message != "no room" {
		t.Errorf("text %q", message)
	}
	s, err := r.snapshot("s1", id, nil)
	must(t, err)
	if s.ReadyToUse {
		t.Error("readyDelay never, and it is ready")
	}
	if _, err := r.snapshot("s2", healthy, nil); err != nil {
		t.Errorf("the claim that the glob spares: %v", err)
	}
	own, err := r.snapshot("s3", id, map[string]string{"failSnapshots": "none", "readyDelay": "0"})
	if err != nil || !own.ReadyToUse {
		t.Errorf("the snapshot's own class comes first: %v, %v", own, err)
	}
	_, err = r.snapshot("s4", id, map[string]string{"failProvision": "always"})
	wantCode(t, "a volume's knob in a snapshot class", err, codes.InvalidArgument)
	if failed := r.eventsNamed("snapshot-failed"); len(failed) != 2 || failed[0].Code != "Unavailable" || failed[0].Error != "no room" || failed[0].Attempt != 1 {
		t.Errorf("events %+v", failed)
	}
	for i, want := range []codes.Code{codes.Unavailable, codes.OK, codes.OK} {
		_, err = r.DeleteSnapshot(ctx(), &csi.DeleteSnapshotRequest{SnapshotId: s.SnapshotId})
		wantCode(t, "deletion of the snapshot", err, want)
		_, err = r.DeleteVolume(ctx(), &csi.DeleteVolumeRequest{VolumeId: id})
		wantCode(t, "deletion of the volume", err, want)
		_, statErr := os.Stat(filepath.Join(r.state, "volumes", id))
		if gone := os.IsNotExist(statErr); gone != (i > 0) {
			t.Errorf("after attempt %d the volume's directory: %v", i+1, statErr)
		}
	}
}

func TestProvisioningFails(t *testing.T) {
	r := newRig(t)
	for _, want := range []codes.Code{codes.ResourceExhausted, codes.ResourceExhausted, codes.OK} {
		_, err := r.CreateVolume(ctx(), request("d", false, 1, map[string]string{"failProvision": "first:2", "failCode": "ResourceExhausted"}, nil))
		wantCode(t, "CreateVolume", err, want)
	}
	if n := len(r.eventsNamed("provision-failed")); n != 2 {
		t.Errorf("%d provision-failed events, want 2", n)
	}
	_, err := r.CreateVolume(ctx(), request("typo", false, 1, map[string]string{"failprovision": "always"}, nil))
	wantCode(t, "misspelt knob", err, codes.InvalidArgument)
}

// A request that gives up leaves the work running; the repeated one joins it, and deleting stops it.
func TestARetryJoinsTheWaitingCut(t *testing.T) {
	r := newRig(t)
	id, _ := r.volume(request("d", false, 1, map[string]string{"snapshotDelay": "never"}, nil))
	for range 2 {
		short, cancel := context.WithTimeout(ctx(), 20*time.Millisecond)
		_, err := r.CreateSnapshot(short, &csi.CreateSnapshotRequest{Name: "s", SourceVolumeId: id})
		cancel()
		wantCode(t, "a caller that gives up", err, codes.DeadlineExceeded)
	}
	if n := len(r.eventsNamed("snapshot-request")); n != 1 {
		t.Errorf("%d attempts, want 1", n)
	}
	waiting := make(chan error)
	go func() {
		_, err := r.CreateSnapshot(ctx(), &csi.CreateSnapshotRequest{Name: "s", SourceVolumeId: id})
		waiting <- err
	}()
	_, err := r.DeleteSnapshot(ctx(), &csi.DeleteSnapshotRequest{SnapshotId: "s"})
	must(t, err)
	// Either it had joined the stopped work, or it came later and started another, which is stopped as well.
	for {
		select {
		case err := <-waiting:
			wantCode(t, "a caller whose work is stopped", err, codes.Aborted)
			return
		case <-time.After(10 * time.Millisecond):
			_, err := r.DeleteSnapshot(ctx(), &csi.DeleteSnapshotRequest{SnapshotId: "s"})
			must(t, err)
		}
	}
}

func TestListSnapshots(t *testing.T) {
	r := newRig(t)
	one, _ := r.volume(request("one", false, 1, nil, nil))
	two, _ := r.volume(request("two", false, 1, nil, nil))
	for name, volume := range map[string]string{"a": one, "b": two, "c": one} {
		_, err := r.snapshot(name, volume, nil)
		must(t, err)
	}
	list := func(request *csi.ListSnapshotsRequest) (ids, next string) {
		response, err := r.ListSnapshots(ctx(), request)
		must(t, err)
		for _, entry := range response.Entries {
			ids += entry.Snapshot.SnapshotId
		}
		return ids, response.NextToken
	}
	for _, c := range []struct {
		request   *csi.ListSnapshotsRequest
		ids, next string
	}{
		{&csi.ListSnapshotsRequest{}, "abc", ""},
		{&csi.ListSnapshotsRequest{SnapshotId: "b"}, "b", ""},
		{&csi.ListSnapshotsRequest{SnapshotId: "none"}, "", ""},
		{&csi.ListSnapshotsRequest{SourceVolumeId: one}, "ac", ""},
		{&csi.ListSnapshotsRequest{MaxEntries: 2}, "ab", "2"},
		{&csi.ListSnapshotsRequest{MaxEntries: 2, StartingToken: "2"}, "c", ""},
	} {
		if ids, next := list(c.request); ids != c.ids || next != c.next {
			t.Errorf("%v: got %q, %q; want %q, %q", c.request, ids, next, c.ids, c.next)
		}
	}
	_, err := r.ListSnapshots(ctx(), &csi.ListSnapshotsRequest{StartingToken: "x"})
	wantCode(t, "token", err, codes.Aborted)
}

func TestPlainDriverMakesVolumesOnly(t *testing.T) {
	d, err := newDriver(t.TempDir(), "plain.vmbackup.test", false)
	must(t, err)
	response, err := d.ControllerGetCapabilities(ctx(), nil)
	must(t, err)
	if len(response.Capabilities) != 1 || response.Capabilities[0].GetRpc().Type != csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME {
		t.Errorf("capabilities %v", response.Capabilities)
	}
	_, err = d.CreateVolume(ctx(), request("d", false, 1, nil, nil))
	must(t, err)
	_, err = d.CreateSnapshot(ctx(), &csi.CreateSnapshotRequest{Name: "s", SourceVolumeId: "pvc-d"})
	wantCode(t, "CreateSnapshot", err, codes.Unimplemented)
	_, err = d.CreateVolume(ctx(), request("e", false, 1, nil, fromSnapshot("s")))
	wantCode(t, "CreateVolume from a snapshot", err, codes.InvalidArgument)
}

func TestAKilledDriversLeftoversGo(t *testing.T) {
	r := newRig(t)
	for _, left := range []string{r.store.partial("volumes", "v"), r.store.partial("snapshots", "s"), r.store.data("volumes", "pvc-d")} {
		must(t, os.MkdirAll(filepath.Join(left, "sub"), 0o755))
	}
	d, err := newDriver(r.state, "csi.vmbackup.test", true)
	must(t, err)
	r.driver = d
	for _, kind := range []string{"volumes", "snapshots"} {
		left, err := filepath.Glob(filepath.Join(r.state, kind, ".partial-*"))
		if err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
	_, dir := r.volume(request("d", false, 1, nil, nil)) // data without a record: renamed, not yet recorded when it was killed
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("a new volume holds %v, %v", entries, err)
	}
}
