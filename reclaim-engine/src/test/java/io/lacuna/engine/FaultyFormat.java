package io.lacuna.engine;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.DiskImageFormat;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.diskimage.raw.RawFormat;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;

/**
 * For tests: raw disks in files called "….faulty", in which every run damages byte {@value #DAMAGED} as well. In "….gone.faulty"
 * that byte is what the format is known by.
 */
public final class FaultyFormat implements DiskImageFormat {

    static final long DAMAGED = 12_345;
    private static final byte DAMAGE = (byte) 0xEE;

    @Override
    public String name() {
        return "faulty";
    }

    @Override
    public boolean recognises(HostFile file) {
        return file.path().toString().endsWith(".faulty");
    }

    @Override
    public DiskImage open(HostFile file, ImageLinks links) throws IOException {
        ByteBuffer mark = ByteBuffer.allocate(1);
        file.read(DAMAGED, mark);
        if (file.path().toString().endsWith(".gone.faulty") && mark.get(0) == DAMAGE) {
            throw new CorruptException("mark", DAMAGED, "none", "one");
        }
        DiskImage raw = new RawFormat().open(file, links);
        return (DiskImage) Proxy.newProxyInstance(DiskImage.class.getClassLoader(), new Class<?>[] {DiskImage.class},
                (proxy, method, arguments) -> {
                    if (method.getName().equals("format")) {
                        return name();
                    }
                    try {
                        Object result = method.invoke(raw, arguments);
                        if (method.getName().equals("apply")) {
                            file.write(DAMAGED, ByteBuffer.wrap(new byte[] {DAMAGE}));
                        }
                        return result;
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }
}
