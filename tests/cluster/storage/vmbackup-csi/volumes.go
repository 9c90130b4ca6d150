package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// diskFile is the content of a block volume, in its directory.
const diskFile = "disk.img"

func (d *driver) CreateVolume(ctx context.Context, request *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if request.Name == "" || len(request.VolumeCapabilities) == 0 {
		return nil, status.Error(codes.InvalidArgument, "a name and volume capabilities are needed")
	}
	id := idFor(request.Name)
	made, err := d.work.join(ctx, "volume/"+id, func(ctx context.Context) (any, error) {
		return d.createVolume(ctx, id, request)
	})
	if err != nil {
		return nil, err
	}
	v := made.(*volume)
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{
		VolumeId:      v.ID,
		CapacityBytes: v.Size,
		VolumeContext: map[string]string{"path": d.store.data("volumes", v.ID)},
		ContentSource: request.VolumeContentSource,
	}}, nil
}

func (d *driver) createVolume(ctx context.Context, id string, request *csi.CreateVolumeRequest) (*volume, error) {
	start := monotonic()
	v, err := d.plannedVolume(id, request)
	if err != nil {
		return nil, err
	}
	existing, err := d.store.volume(id)
	if err != nil {
		return nil, internal(err)
	}
	if existing != nil {
		if existing.Block != v.Block || existing.Source != v.Source || existing.Size < v.Size {
			return nil, status.Errorf(codes.AlreadyExists, "volume %s exists and is another one", id)
		}
		return existing, nil
	}
	e := event{Volume: id, PVC: v.PVC, Source: v.Source, Start: start, Attempt: d.work.attempt("volume/" + id)}
	if err := wait(ctx, v.Knobs.delay("provisionDelay")); err != nil {
		return nil, d.failed("provision-failed", e, err)
	}
	if err := v.Knobs.failure("failProvision", e.Attempt, "rig: volume refused by the array"); err != nil {
		return nil, d.failed("provision-failed", e, err)
	}
	partial := d.store.partial("volumes", id)
	if e.Locked, err = d.fill(ctx, partial, v, request.VolumeContentSource); err != nil {
		_ = os.RemoveAll(partial) // started anew by the next attempt, which says so if it is in the way
		return nil, d.failed("provision-failed", e, err)
	}
	if err := d.store.commit("volumes", id, v); err != nil {
		return nil, d.failed("provision-failed", e, internal(err))
	}
	e.Event, e.End = "create-volume", monotonic()
	d.events.add(e)
	return v, nil
}

// plannedVolume is what the request asks for, checked against the source as far as that can be done without copying.
func (d *driver) plannedVolume(id string, request *csi.CreateVolumeRequest) (*volume, error) {
	parameters := request.Parameters
	v := &volume{ID: id, PVC: parameters[sidecarPrefix+"pvc/namespace"] + "/" + parameters[sidecarPrefix+"pvc/name"]}
	var err error
	if v.Knobs, err = knobsFor(parameters, parameters[sidecarPrefix+"pvc/name"], volumeKnobs); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	for _, capability := range request.VolumeCapabilities {
		if capability.GetBlock() != nil {
			v.Block = true
		}
	}
	v.Size = request.GetCapacityRange().GetRequiredBytes()
	var sourceSize int64
	var sourceBlock bool
	switch source := request.GetVolumeContentSource(); {
	case source == nil:
		if v.Size == 0 {
			v.Size = defaultSize
		}
	case !d.snapshots:
		return nil, status.Error(codes.InvalidArgument, "this driver makes empty volumes only")
	case source.GetSnapshot() != nil:
		s, err := d.store.snapshot(source.GetSnapshot().SnapshotId)
		if err != nil {
			return nil, internal(err)
		}
		if s == nil {
			return nil, status.Errorf(codes.NotFound, "no snapshot %s", source.GetSnapshot().SnapshotId)
		}
		if s.Ready < 0 {
			return nil, status.Errorf(codes.Unavailable, "snapshot %s is not ready", s.ID)
		}
		v.Source, sourceSize, sourceBlock = "snapshot/"+s.ID, s.Size, s.Block
	case source.GetVolume() != nil:
		from, err := d.store.volume(source.GetVolume().VolumeId)
		if err != nil {
			return nil, internal(err)
		}
		if from == nil {
			return nil, status.Errorf(codes.NotFound, "no volume %s", source.GetVolume().VolumeId)
		}
		v.Source, sourceSize, sourceBlock = "volume/"+from.ID, from.Size, from.Block
	default:
		return nil, status.Error(codes.InvalidArgument, "unknown kind of content source")
	}
	if v.Size == 0 {
		v.Size = sourceSize
	}
	if limit := request.GetCapacityRange().GetLimitBytes(); v.Size < sourceSize || (limit > 0 && v.Size > limit) {
		return nil, status.Errorf(codes.OutOfRange, "a size of %d bytes was asked for, the source has %d", v.Size, sourceSize)
	}
	if v.Source != "" && v.Block != sourceBlock {
		return nil, status.Error(codes.InvalidArgument, "the source has another volume mode")
	}
	return v, nil
}

// fill makes the directory dir with the first content of v. locked is nil unless a volume was cloned.
func (d *driver) fill(ctx context.Context, dir string, v *volume, source *csi.VolumeContentSource) (locked *bool, err error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, internal(err)
	}
	switch {
	case source.GetSnapshot() != nil:
		lock := d.locks.of("snapshot/" + source.GetSnapshot().SnapshotId)
		lock.RLock()
		defer lock.RUnlock()
		err = copyTree(d.store.data("snapshots", source.GetSnapshot().SnapshotId), dir)
	case source.GetVolume() != nil:
		var had bool
		had, _, _, err = d.cut(ctx, source.GetVolume().VolumeId, dir)
		locked = &had
	default:
		err = os.Mkdir(dir, 0o755)
	}
	if err == nil && v.Block {
		err = setDiskSize(dir, v.Size)
	}
	if err != nil {
		return nil, internal(err)
	}
	return locked, nil
}

// setDiskSize makes a block volume's file at least size bytes long.
func setDiskSize(dir string, size int64) error {
	f, err := os.OpenFile(filepath.Join(dir, diskFile), os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() >= size {
		return err
	}
	return f.Truncate(size)
}

func (d *driver) DeleteVolume(_ context.Context, request *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if request.VolumeId == "" {
		return nil, status.Error(codes.InvalidArgument, "a volume id is needed")
	}
	id := request.VolumeId
	d.work.stop("volume/" + id)
	lock := d.locks.of("volume/" + id)
	lock.Lock()
	defer lock.Unlock()
	v, err := d.store.volume(id)
	if err != nil {
		return nil, internal(err)
	}
	if v == nil {
		return &csi.DeleteVolumeResponse{}, nil
	}
	e := event{Volume: id, PVC: v.PVC, Start: monotonic(), Attempt: d.work.attempt("delete-volume/" + id)}
	if err := v.Knobs.failure("failDelete", e.Attempt, "rig: deletion refused by the array"); err != nil {
		return nil, d.failed("delete-failed", e, err)
	}
	if err := d.store.remove("volumes", id); err != nil {
		return nil, d.failed("delete-failed", e, internal(err))
	}
	e.Event, e.End = "delete-volume", monotonic()
	d.events.add(e)
	return &csi.DeleteVolumeResponse{}, nil
}

func (d *driver) ControllerExpandVolume(_ context.Context, request *csi.ControllerExpandVolumeRequest) (*csi.ControllerExpandVolumeResponse, error) {
	if !d.snapshots {
		return nil, status.Error(codes.Unimplemented, "this driver does not expand volumes")
	}
	lock := d.locks.of("volume/" + request.VolumeId)
	lock.Lock()
	defer lock.Unlock()
	v, err := d.store.volume(request.VolumeId)
	if err != nil {
		return nil, internal(err)
	}
	if v == nil {
		return nil, status.Errorf(codes.NotFound, "no volume %s", request.VolumeId)
	}
	if size := request.GetCapacityRange().GetRequiredBytes(); size > v.Size {
		start := monotonic()
		v.Size = size
		if v.Block {
			err = setDiskSize(d.store.data("volumes", v.ID), size)
		}
		if err == nil {
			err = d.store.write("volumes", v.ID, v)
		}
		if err != nil {
			return nil, internal(err)
		}
		d.events.add(event{Event: "expand-volume", Volume: v.ID, PVC: v.PVC, Start: start, End: monotonic()})
	}
	return &csi.ControllerExpandVolumeResponse{CapacityBytes: v.Size, NodeExpansionRequired: false}, nil
}

func (d *driver) ValidateVolumeCapabilities(_ context.Context, request *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	v, err := d.store.volume(request.VolumeId)
	if err != nil {
		return nil, internal(err)
	}
	if v == nil {
		return nil, status.Errorf(codes.NotFound, "no volume %s", request.VolumeId)
	}
	for _, capability := range request.VolumeCapabilities {
		if (capability.GetBlock() != nil) != v.Block {
			return &csi.ValidateVolumeCapabilitiesResponse{Message: "the volume has another mode"}, nil
		}
	}
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{
		VolumeContext: request.VolumeContext, VolumeCapabilities: request.VolumeCapabilities, Parameters: request.Parameters}}, nil
}
