package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.ExtentSet;
import java.util.List;

/**
 * What a request comes to on one qcow2 image.
 *
 * @param tables what changes in the image's tables; null if nothing
 * @param imagePunches bytes of the image file to punch
 * @param dataPunches bytes of the data file to punch
 * @param newSize bytes that the image file shall have; -1 if it keeps its size
 */
record Qcow2Plan(Qcow2Image image, ExtentSet reclaimable, List<Retained> retained, long plannedBytes,
        long unreferencedBytes, List<String> remarks, TableChanges tables, ExtentSet imagePunches, ExtentSet dataPunches,
        long newSize) implements Deallocation {

    @Override
    public ExtentSet discarded() {
        return tables == null ? reclaimable
                : reclaimable.union(tables.unmappedGuest().intersect(ExtentSet.ofRange(0, image.virtualSize())));
    }

    @Override
    public boolean isEmpty() {
        return tables == null && imagePunches.isEmpty() && dataPunches.isEmpty() && newSize < 0;
    }

    @Override
    public boolean changesTables() {
        return tables != null;
    }
}
