package io.lacuna.blockio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.ServiceConfigurationError;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class ServicesTest {

    private static final String PROPERTY = "lacuna.services." + Greeting.class.getName();

    /** A service. */
    public interface Greeting {
    }

    /** One of them. */
    public static final class Hello implements Greeting {
    }

    /** Another. */
    public static final class Goodbye implements Greeting {
    }

    @AfterEach
    void clear() {
        System.clearProperty(PROPERTY);
    }

    @Test
    void thoseThatAPropertyNamesAreTakenInItsOrder() {
        assertEquals(List.of(), Services.of(Greeting.class), "no service file names any");
        System.setProperty(PROPERTY, Goodbye.class.getName() + "," + Hello.class.getName());
        assertEquals(List.of(Goodbye.class, Hello.class), Services.of(Greeting.class).stream().map(Object::getClass).toList());
    }

    @Test
    void whatIsNoSuchServiceIsAnError() {
        for (String name : List.of("io.lacuna.blockio.Nobody", "java.lang.Object", Hello.class.getName() + ",")) {
            System.setProperty(PROPERTY, name.endsWith(",") ? name + " " : name);
            ServiceConfigurationError e = assertThrows(ServiceConfigurationError.class, () -> Services.of(Greeting.class));
            assertTrue(e.getMessage().contains("names "), e.getMessage());
        }
    }
}
