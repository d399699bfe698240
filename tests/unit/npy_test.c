/*
 * .npy headers: those that NumPy and older writers make are read, printed ones are NumPy's own
 * bytes, and hostile ones are refused with what is wrong.
 */
#include "tap.h"

#include "base/error.h"
#include "dmstore/npy.h"

#include <stdlib.h>

/* A header of the given version around a dictionary, in new memory. */
static uint8_t *make_header(int version, const char *dictionary, size_t *bytes)
{
    size_t prefix_bytes = version == 1 ? 10 : 12;
    size_t length = strlen(dictionary);
    uint8_t *header = calloc(1, prefix_bytes + length);

    if (header == NULL)
        abort();
    memcpy(header, "\x93NUMPY", 6);
    header[6] = (uint8_t)version;
    for (size_t i = 8; i < prefix_bytes; i++)
        header[i] = (uint8_t)(length >> 8 * (i - 8));
    memcpy(header + prefix_bytes, dictionary, length);
    *bytes = prefix_bytes + length;
    return header;
}

/* Parses a dictionary in a header of version 1, whose memory ends where the header does. */
static int parse(const char *dictionary, struct dms_npy *npy)
{
    size_t bytes;
    uint8_t *header = make_header(1, dictionary, &bytes);
    int result = dms_npy_parse(header, bytes, npy);

    free(header);
    return result;
}

/* ---- what is read ---- */

static void test_versions(void)
{
    for (int version = 1; version <= 3; version++) {
        struct dms_npy npy = {0};
        size_t bytes, header_bytes = 0;
        uint8_t *header = make_header(
            version, "{'descr': '<f2', 'fortran_order': False, 'shape': (300, 7), }  \n", &bytes);

        ok(dms_npy_header_bytes(header, DMS_NPY_PREFIX_BYTES, &header_bytes) == 0 &&
               header_bytes == bytes,
           "version %d: the prefix says how long the header is", version);
        ok(dms_npy_parse(header, bytes, &npy) == 0 && npy.kind == 'f' && npy.item_bytes == 2 &&
               npy.dimension_ct == 2 && npy.dimensions[0] == 300 && npy.dimensions[1] == 7,
           "version %d: dtype and shape are read", version);
        ok(npy.data_offset == bytes && npy.data_bytes == 4200,
           "version %d: the data begin behind the header", version);
        is_int(dms_npy_parse(header, bytes - 1, &npy), DMS_ERR_INVALID,
               "a header that is cut short is refused");
        free(header);
    }
}

static void test_accepted(void)
{
    static const struct {
        const char *dictionary;
        char kind;
        uint32_t item_bytes;
        uint32_t dimension_ct;
        uint64_t data_bytes;
    } cases[] = {
        {"{'descr': '|b1', 'fortran_order': False, 'shape': (10, 3), }", 'b', 1, 2, 30},
        {"{\"descr\":\"<i8\",\"fortran_order\":False,\"shape\":(10,)}", 'i', 8, 1, 80},
        {"{'shape': (2L, 3L), 'fortran_order': False, 'descr': '|u1'}\n", 'u', 1, 2, 6},
        {"{ 'descr' : '=f4' , 'shape' : ( 2 , 3 , 4 ) , 'fortran_order' : False , }", 'f', 4, 3,
         96},
        {"{'descr': '|S255', 'fortran_order': False, 'shape': (4,), }", 'S', 255, 1, 1020},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (), }", 'f', 8, 0, 8},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (0, 5), }", 'f', 8, 2, 0},
        {"{'descr': '<u2', 'fortran_order': True, 'shape': (5,), }", 'u', 2, 1, 10},
        {"{'descr': '>u1', 'fortran_order': False, 'shape': (5,), }", 'u', 1, 1, 5},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 9), }", 'f', 2, 8,
         18},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dms_npy npy = {0};

        if (!ok(parse(cases[i].dictionary, &npy) == 0 && npy.kind == cases[i].kind &&
                    npy.item_bytes == cases[i].item_bytes &&
                    npy.dimension_ct == cases[i].dimension_ct &&
                    npy.data_bytes == cases[i].data_bytes,
                "read: %.*s", (int)strcspn(cases[i].dictionary, "\n"), cases[i].dictionary))
            diag("%s", dms_error_message());
    }
}

/* ---- what is refused ---- */

static void test_refused(void)
{
    static const struct {
        const char *dictionary;
        const char *part; /* of the message */
    } cases[] = {
        {"", "not a dictionary"},
        {"{", "malformed"},
        {"{}", "malformed"},
        {"{'descr': '<f2', 'fortran_order': False}", "malformed"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (1,)} x", "malformed"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (1,)", "malformed"},
        {"{'descr': '<f2' 'fortran_order': False, 'shape': (1,)}", "malformed"},
        {"{'descr': '<f2', 'descr': '<f2', 'fortran_order': False, 'shape': (1,)}",
         "repeated key 'descr'"},
        {"{'descr': '<f2', 'colour': 1, 'fortran_order': False, 'shape': (1,)}", "key 'colour'"},
        {"{'descr': '<f2', 'a very long key that does not fit': 1}", "malformed"},
        {"{'descr': '>f2', 'fortran_order': False, 'shape': (1,)}", "big-endian"},
        {"{'descr': [('x', '<f2')], 'fortran_order': False, 'shape': (1,)}", "structured"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "'|O' is not supported"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", "'<c8'"},
        {"{'descr': '<U5', 'fortran_order': False, 'shape': (1,)}", "'<U5'"},
        {"{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (1,)}", "'<M8[ns]'"},
        {"{'descr': '<f16', 'fortran_order': False, 'shape': (1,)}", "'<f16'"},
        {"{'descr': '<f3', 'fortran_order': False, 'shape': (1,)}", "'<f3'"},
        {"{'descr': '|S0', 'fortran_order': False, 'shape': (1,)}", "'|S0'"},
        {"{'descr': '|b2', 'fortran_order': False, 'shape': (1,)}", "'|b2'"},
        {"{'descr': '', 'fortran_order': False, 'shape': (1,)}", "''"},
        {"{'descr': 'xf2', 'fortran_order': False, 'shape': (1,)}", "'xf2'"},
        {"{'descr': '<f2', 'fortran_order': True, 'shape': (1, 2)}", "Fortran order"},
        {"{'descr': '<f2', 'fortran_order': 0, 'shape': (1,)}", "fortran_order"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': 5}", "shape"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (-1,)}", "dimension 1"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (3, , 4)}", "dimension 2"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (3 4)}", "dimension 1"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (3,", "dimension 2"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", "more than 8"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (18446744073709551616,)}",
         "dimension 1"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (9223372036854775807,)}",
         "larger than any file"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",
         "larger than any file"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (9223372036854775807,)}",
         "larger than any file"},
    };
    struct dms_npy npy;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ok(parse(cases[i].dictionary, &npy) == DMS_ERR_INVALID, "refused: %s", cases[i].dictionary);
        contains(dms_error_message(), cases[i].part, "and the message says why");
    }
}

static void test_not_npy(void)
{
    const uint8_t future[] = "\x93NUMPY\x04\x00\x10\x00\x00\x00";
    const uint8_t zip[] = "PK\x03\x04 this is a .npz";
    size_t header_bytes;

    is_int(dms_npy_header_bytes(zip, 12, &header_bytes), DMS_ERR_INVALID, "a .npz is refused");
    contains(dms_error_message(), "not a .npy file", "and the message says so");
    is_int(dms_npy_header_bytes(future, 12, &header_bytes), DMS_ERR_INVALID,
           "version 4 is refused");
    contains(dms_error_message(), "4.0", "and named");
    is_int(dms_npy_header_bytes((const uint8_t *)"\x93NUMPY\x02\x00\x10", 10, &header_bytes),
           DMS_ERR_INVALID, "ten bytes do not tell the length of version 2");
    is_int(dms_npy_header_bytes(zip, 0, &header_bytes), DMS_ERR_INVALID,
           "an empty file is refused");
}

/* ---- what is printed ---- */

static void test_print(void)
{
    /* As numpy.save of NumPy 1.24 writes them. */
    static const struct {
        struct dms_npy npy;
        const char *dictionary;
    } cases[] = {
        {{.kind = 'f', .item_bytes = 2, .dimension_ct = 2, .dimensions = {50000, 10000}},
         "{'descr': '<f2', 'fortran_order': False, 'shape': (50000, 10000), }"},
        {{.kind = 'b', .item_bytes = 1, .dimension_ct = 2, .dimensions = {3, 4}},
         "{'descr': '|b1', 'fortran_order': False, 'shape': (3, 4), }"},
        {{.kind = 'u', .item_bytes = 8, .dimension_ct = 1, .dimensions = {7}},
         "{'descr': '<u8', 'fortran_order': False, 'shape': (7,), }"},
        {{.kind = 'S', .item_bytes = 20, .dimension_ct = 1, .dimensions = {0}},
         "{'descr': '|S20', 'fortran_order': False, 'shape': (0,), }"},
        {{.kind = 'f', .item_bytes = 8}, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t header[DMS_NPY_HEADER_BYTES], wanted[128];
        struct dms_npy npy = cases[i].npy, parsed;

        memset(wanted, ' ', sizeof(wanted));
        memcpy(wanted, "\x93NUMPY\x01\x00\x76\x00", 10);
        memcpy(wanted + 10, cases[i].dictionary, strlen(cases[i].dictionary));
        wanted[127] = '\n';
        ok(dms_npy_print(&npy, header) == 0 && npy.data_offset == 128 &&
               memcmp(header, wanted, 128) == 0,
           "printed as NumPy does: %s", cases[i].dictionary);
        ok(dms_npy_parse(header, 128, &parsed) == 0 && parsed.data_bytes == npy.data_bytes &&
               parsed.item_bytes == npy.item_bytes,
           "and read back");
    }
}

static void test_print_limits(void)
{
    uint8_t header[DMS_NPY_HEADER_BYTES];
    struct dms_npy npy = {.kind = 'S', .item_bytes = INT32_MAX, .dimension_ct = 8};
    struct dms_npy parsed;

    for (int i = 0; i < 8; i++)
        npy.dimensions[i] = UINT64_MAX;
    is_int(dms_npy_print(&npy, header), DMS_ERR_INVALID, "a shape that overflows is refused");
    npy.dimensions[0] = 0;
    for (int i = 1; i < 8; i++)
        npy.dimensions[i] = UINT64_C(10000000000000000000);
    ok(dms_npy_print(&npy, header) == 0 && npy.data_offset == 256,
       "the longest header takes 256 bytes");
    ok(dms_npy_parse(header, 256, &parsed) == 0 && parsed.dimensions[7] == npy.dimensions[7],
       "and is read back");
    npy.dimension_ct = 9;
    is_int(dms_npy_print(&npy, header), DMS_ERR_INVALID, "nine dimensions are refused");
}

int main(void)
{
    test_versions();
    test_accepted();
    test_refused();
    test_not_npy();
    test_print();
    test_print_limits();
    return tap_done();
}
