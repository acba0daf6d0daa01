package io.lacuna.cli;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.library.Architectures;
import java.io.Serializable;
import java.util.List;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Who may import whom. */
class ArchitectureTest {

    private static final List<String> ROOMS = List.of("blockio", "partition", "fs.ntfs", "fs.ext", "diskimage", "engine", "cli");

    private static JavaClasses product;

    @BeforeAll
    static void readClasses() {
        product = new ClassFileImporter()
                .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
                .withImportOption(location -> !location.contains("/fixtures/") && !location.contains("fixtures-"))
                .importPackages("io.lacuna");
    }

    @Test
    void everyRoomIsLookedAt() {
        for (String room : ROOMS) {
            Assertions.assertTrue(product.stream().anyMatch(type -> type.getPackageName().startsWith("io.lacuna." + room)),
                    room);
        }
    }

    @Test
    void importsPointDownOnly() {
        Architectures.layeredArchitecture().consideringOnlyDependenciesInLayers()
                .layer("block-io").definedBy("io.lacuna.blockio..")
                .layer("partition").definedBy("io.lacuna.partition..")
                .layer("fs-ntfs").definedBy("io.lacuna.fs.ntfs..")
                .layer("fs-ext").definedBy("io.lacuna.fs.ext..")
                .layer("disk-image").definedBy("io.lacuna.diskimage..")
                .layer("reclaim-engine").definedBy("io.lacuna.engine..")
                .layer("cli").definedBy("io.lacuna.cli..")
                .whereLayer("cli").mayNotBeAccessedByAnyLayer()
                .whereLayer("reclaim-engine").mayOnlyBeAccessedByLayers("cli")
                .whereLayer("disk-image").mayOnlyBeAccessedByLayers("reclaim-engine", "cli")
                .whereLayer("partition").mayOnlyBeAccessedByLayers("reclaim-engine", "cli")
                // File systems plug in as services: nobody names them.
                .whereLayer("fs-ntfs").mayNotBeAccessedByAnyLayer()
                .whereLayer("fs-ext").mayNotBeAccessedByAnyLayer()
                .check(product);
    }

    @Test
    void formatsAreNamedByNobody() {
        for (String format : List.of("qcow2", "vhd", "vhdx", "vmdk", "vdi")) {
            noClasses().that().resideInAPackage("io.lacuna.diskimage").or().resideOutsideOfPackage("io.lacuna.diskimage..")
                    .should().dependOnClassesThat().resideInAPackage("io.lacuna.diskimage." + format + "..").check(product);
        }
    }

    @Test
    void everyClassIsInAKnownRoom() {
        String[] rooms = ROOMS.stream().map(room -> "io.lacuna." + room + "..").toArray(String[]::new);
        classes().should().resideInAnyPackage(rooms).check(product);
    }

    @Test
    void nativeCallsLiveInOneRoom() {
        noClasses().that().resideOutsideOfPackage("io.lacuna.diskimage").should().dependOnClassesThat()
                .resideInAPackage("com.sun.jna..").check(product);
    }

    @Test
    void signaturesLiveInOneRoom() {
        noClasses().that().resideOutsideOfPackage("io.lacuna.engine.proof").should().dependOnClassesThat()
                .resideInAPackage("org.bouncycastle..").check(product);
    }

    @Test
    void onlyTheCommandPrints() {
        noClasses().that().resideOutsideOfPackage("io.lacuna.cli..").should().accessField(System.class, "out")
                .orShould().accessField(System.class, "err").check(product);
    }

    @Test
    void nothingIsSerializable() {
        List<String> serializable = product.stream()
                .filter(type -> type.getRawInterfaces().stream().anyMatch(one -> one.isEquivalentTo(Serializable.class)))
                .map(JavaClass::getName).toList();
        Assertions.assertEquals(List.of(), serializable);
    }
}
