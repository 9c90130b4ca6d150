package main

import (
	"context"
	"os"
	"path"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func (d *driver) CreateSnapshot(ctx context.Context, request *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	if !d.snapshots {
		return nil, status.Error(codes.Unimplemented, "this driver makes no snapshots")
	}
	if request.Name == "" || request.SourceVolumeId == "" {
		return nil, status.Error(codes.InvalidArgument, "a name and a source volume are needed")
	}
	id := idFor(request.Name)
	made, err := d.work.join(ctx, "snapshot/"+id, func(ctx context.Context) (any, error) {
		return d.createSnapshot(ctx, id, request)
	})
	if err != nil {
		return nil, err
	}
	s := made.(*snapshot)
	if s.Volume != request.SourceVolumeId {
		return nil, status.Errorf(codes.AlreadyExists, "snapshot %s exists, of volume %s", id, s.Volume)
	}
	return &csi.CreateSnapshotResponse{Snapshot: answer(s)}, nil
}

func (d *driver) createSnapshot(ctx context.Context, id string, request *csi.CreateSnapshotRequest) (*snapshot, error) {
	if existing, err := d.store.snapshot(id); err != nil {
		return nil, internal(err)
	} else if existing != nil {
		return existing, nil
	}
	parameters := request.Parameters
	e := event{
		Event:          "snapshot-request",
		Snapshot:       request.Name,
		SnapshotHandle: id,
		Volume:         request.SourceVolumeId,
		VolumeSnapshot: parameters[sidecarPrefix+"volumesnapshot/namespace"] + "/" + parameters[sidecarPrefix+"volumesnapshot/name"],
		Attempt:        d.work.attempt("snapshot/" + id),
	}
	v, err := d.store.volume(request.SourceVolumeId)
	if err != nil {
		return nil, d.failed("snapshot-failed", e, internal(err))
	}
	if v == nil {
		return nil, d.failed("snapshot-failed", e, status.Errorf(codes.NotFound, "no volume %s", request.SourceVolumeId))
	}
	e.PVC = v.PVC
	d.events.add(e)
	class, err := knobsFor(parameters, path.Base(v.PVC), snapshotKnobs)
	if err != nil {
		return nil, d.failed("snapshot-failed", e, status.Error(codes.InvalidArgument, err.Error()))
	}
	k := snapshotKnobsOf(class, v.Knobs)
	if err := wait(ctx, k.delay("snapshotDelay")); err != nil {
		return nil, d.failed("snapshot-failed", e, err)
	}
	if err := k.failure("failSnapshots", e.Attempt, "rig: snapshot refused by the array"); err != nil {
		return nil, d.failed("snapshot-failed", e, err)
	}

	partial := d.store.partial("snapshots", id)
	if err := os.RemoveAll(partial); err != nil {
		return nil, d.failed("snapshot-failed", e, internal(err))
	}
	locked, start, end, err := d.cut(ctx, v.ID, partial)
	if err != nil {
		_ = os.RemoveAll(partial) // started anew by the next attempt, which says so if it is in the way
		return nil, d.failed("snapshot-failed", e, internal(err))
	}
	s := &snapshot{ID: id, Volume: v.ID, PVC: v.PVC, Size: v.Size, Block: v.Block, Created: start.wall, For: e.VolumeSnapshot,
		Knobs: knobs{"failDelete": k["failDelete"], "failCode": k["failCode"]}}
	if delay := k.delay("readyDelay"); delay == never {
		s.Ready = -1
	} else {
		s.Ready = end.wall + int64(delay)
	}
	if err := d.store.commit("snapshots", id, s); err != nil {
		return nil, d.failed("snapshot-failed", e, internal(err))
	}
	e.Event, e.Start, e.End, e.Locked = "cut", start.mono, end.mono, &locked
	d.events.add(e)
	return s, nil
}

// snapshotKnobsOf are the knobs of a snapshot: its class's own, and those that the volume's StorageClass sets for it.
func snapshotKnobsOf(class, ofVolume knobs) knobs {
	lower := knobs{}
	for _, name := range []string{"snapshotDelay", "readyDelay", "failSnapshots", "failCode"} {
		if value, set := ofVolume[name]; set {
			lower[name] = value
		}
	}
	if value, set := ofVolume["failDeleteSnapshot"]; set {
		lower["failDelete"] = value
	}
	return class.over(lower)
}

// instant is one moment on both clocks, in ns.
type instant struct{ mono, wall int64 }

func now() instant { return instant{monotonic(), time.Now().UnixNano()} }

// cut copies the volume's directory to dir, its writers locked out if they let go in time. start and end enclose the copy.
func (d *driver) cut(ctx context.Context, volumeID, dir string) (locked bool, start, end instant, err error) {
	lock := d.locks.of("volume/" + volumeID)
	lock.RLock()
	defer lock.RUnlock()
	source := d.store.data("volumes", volumeID)
	unlock, locked, err := lockExclusive(ctx, source, lockWait)
	if err != nil {
		return false, start, end, err
	}
	defer unlock()
	start = now()
	err = copyTree(source, dir)
	return locked, start, now(), err
}

func (d *driver) DeleteSnapshot(_ context.Context, request *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	if !d.snapshots {
		return nil, status.Error(codes.Unimplemented, "this driver makes no snapshots")
	}
	if request.SnapshotId == "" {
		return nil, status.Error(codes.InvalidArgument, "a snapshot id is needed")
	}
	id := request.SnapshotId
	d.work.stop("snapshot/" + id)
	lock := d.locks.of("snapshot/" + id)
	lock.Lock()
	defer lock.Unlock()
	s, err := d.store.snapshot(id)
	if err != nil {
		return nil, internal(err)
	}
	if s == nil {
		return &csi.DeleteSnapshotResponse{}, nil
	}
	e := event{SnapshotHandle: id, Volume: s.Volume, PVC: s.PVC, VolumeSnapshot: s.For, Start: monotonic(),
		Attempt: d.work.attempt("delete-snapshot/" + id)}
	if err := s.Knobs.failure("failDelete", e.Attempt, "rig: deletion refused by the array"); err != nil {
		return nil, d.failed("delete-failed", e, err)
	}
	if err := d.store.remove("snapshots", id); err != nil {
		return nil, d.failed("delete-failed", e, internal(err))
	}
	e.Event, e.End = "delete-snapshot", monotonic()
	d.events.add(e)
	return &csi.DeleteSnapshotResponse{}, nil
}
