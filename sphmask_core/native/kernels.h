// SPDX-License-Identifier: Apache-2.0
// All C functions of the library, as kernels.py binds them. Arrays are contiguous and made by the caller;
// sizes come last, in the order in which the shapes name them. A function returns null, or in one line what
// is wrong with the values that it was given; what it has written by then means nothing. None reads or writes
// beyond its arrays, whatever the values are.
#pragma once

#include <cstdint>

extern "C" {

// Kernels that this thread calls from now on end early, and answer "called off", once another thread has made
// the flag other than zero; null: they run to their end. Those that take long at any size look at it.
const char* sphmask_watch(const int32_t* flag);

// Points and voxels

// turned[i] = rotation (points[i] - origin); points and turned (n, 3), rotation (3, 3).
const char* sphmask_turn(const float* points, const float* rotation, const float* origin, float* turned,
                         int64_t n, int64_t threads);

// keys[i] = packed voxel of point i of xyz (n, 3), edges of 1 / scale, from the lowest coordinate. `extent`
// is the longest extent in voxels, NaN where a coordinate is not finite; unless it is `most` or less, there
// are no keys.
const char* sphmask_voxel_keys(const float* xyz, int64_t* keys, float scale, int64_t scene, float most,
                               float* extent, int64_t n, int64_t threads);

// rows: the points of xyz (n, 3) that are finite and that `left_out` (n), if there is one, does not mark;
// points: these points; `count`: how many. Both have room for n.
const char* sphmask_keep_points(const float* xyz, const uint8_t* left_out, int64_t* rows, float* points,
                                int64_t* count, int64_t n);

// mean (3): of the points xyz (n, 3), 0 where there are none.
const char* sphmask_mean_point(const float* xyz, double* mean, int64_t n);

// colors[i] = rgb[rows[i]] / middle - 1; rgb (n, 3), rows (picked), colors (picked, 3).
const char* sphmask_pick_colors(const uint8_t* rgb, const int64_t* rows, float* colors, float middle,
                                int64_t n, int64_t picked, int64_t threads);

// mean[s] = mean of the rows of values (n, channels) whose segment is s, 0 where there are none, and sizes[s]
// their number; both of `count` rows.
const char* sphmask_segment_mean(const float* values, const int64_t* segments, float* mean, int64_t* sizes,
                                 int64_t n, int64_t channels, int64_t count);

// bounds[s] = lowest and highest coordinates of the points xyz[rows[i]] whose segments[i] is s, (count, 6);
// rows and segments (picked).
const char* sphmask_segment_bounds(const float* xyz, const int64_t* rows, const int64_t* segments,
                                   float* bounds, int64_t n, int64_t picked, int64_t count, int64_t threads);

// all (n) and labels (n): segments[i] and its label, of labels_of (count), at rows[i]; `count` and 0
// everywhere else. rows and segments (picked).
const char* sphmask_spread_segments(const int64_t* rows, const int64_t* segments, const int32_t* labels_of,
                                    int64_t* all, int32_t* labels, int64_t picked, int64_t count, int64_t n,
                                    int64_t threads);

// points[i] = x, y, z of xyz (n, 3), then values[labels[i]]: color 0xRRGGBB and three more of 4 bytes. A
// point of label 0 has its own color of rgb (n, 3), where there are colors.
const char* sphmask_label_points(const float* xyz, const int32_t* labels, const uint32_t* values,
                                 uint32_t* points, const uint8_t* rgb, int64_t n, int64_t objects,
                                 int64_t threads);

// The n points of a PointCloud2's bytes, `columns` a row; rows are row_step bytes apart, the points of a row
// `step`. offsets (4): where x, y and z of a point begin, floats or, if `wide`, doubles, then its color of 4
// bytes, 0xRRGGBB, which goes to rgb (n, 3), where there is one. xyz (n, 3): NaN for what is not finite and
// for (0, 0, 0), which is the sensor; *placed: how many points are neither.
const char* sphmask_read_points(const uint8_t* data, const int64_t* offsets, float* xyz, uint8_t* rgb,
                                int64_t wide, int64_t columns, int64_t row_step, int64_t step,
                                int64_t* placed, int64_t size, int64_t n, int64_t threads);

// The points xyz (height, width, 3) of a depth image, x to the right, y down, z forward, meters; NaN where
// depth is 0 or not finite. depth (height, width, bytes): uint16 of 2 bytes or float of 4, of `unit` meters.
// cameras: fx, fy, cx, cy of the depth camera and of the color camera. rgb (height, width, 3): the color of
// the same pixel of color (rows, columns, 3) or, if `registered`, that where the color camera sees the point,
// which is `pose` (3, 4) times it; `plain` where there is none.
const char* sphmask_back_project(const uint8_t* depth, const double* cameras, const uint8_t* color,
                                 const double* pose, float* xyz, uint8_t* rgb, double unit,
                                 int64_t registered, int64_t plain, int64_t height, int64_t width,
                                 int64_t bytes, int64_t rows, int64_t columns, int64_t threads);

// changed[i] = matrix (3, 3) times row i of rows (n, 3), plus shift.
const char* sphmask_affine(const float* rows, const float* matrix, const float* shift, float* changed,
                           int64_t n);

// moved[i] = point i of xyz (n, 3) plus `magnitude` times the noise between the eight nodes about it,
// trilinear. noise (nx, ny, nz, 3): node (1, 1, 1) lies at `low`, nodes are `spacing` apart; every point lies
// between nodes.
const char* sphmask_elastic(const float* xyz, const float* low, const float* noise, float* moved,
                            float spacing, float magnitude, int64_t n, int64_t nx, int64_t ny, int64_t nz);

// Unpacks LZF, as PCD files of kind binary_compressed hold it; `written` is the number of bytes, -1 where the
// input is damaged.
const char* sphmask_lzf_decompress(const uint8_t* packed, uint8_t* unpacked, int64_t* written,
                                   int64_t packed_size, int64_t unpacked_size);

// Maps of a sparse U-Net

// keys[v] = packed coordinates of coords (n, 4): scene, x, y, z, of which the last three are halved
// `halvings` times.
const char* sphmask_pack(const int32_t* coords, int64_t* keys, int64_t halvings, int64_t n);

// Who is under whom: children (8, coarse) and parents (8, n) by coordinate mod 2, from the parent of each
// voxel (n).
const char* sphmask_family(const int32_t* coords, const int64_t* parent, int32_t* children, int32_t* parents,
                           int64_t n, int64_t coarse);

// Numbers keys by first appearance: inverse[i] = number of key i, first[v] = where number v appears first,
// `count` = how many numbers there are; `first` has room for n.
const char* sphmask_number_keys(const int64_t* keys, int64_t* inverse, int64_t* first, int64_t* count,
                                int64_t n);

// neighbors[k, v] = voxel at offset k - 13 of the 3^3 window (row-major over x, y, z), or -1. `keys` are
// distinct.
const char* sphmask_find_neighbors(const int64_t* keys, int32_t* neighbors, int64_t n, int64_t threads);

// How many rows each tile of index (kernel, rows) has at each kernel offset, added up: starts (tiles * kernel
// + 1).
const char* sphmask_count_pairs(const int32_t* index, int64_t* starts, int64_t tile_rows, int64_t kernel,
                                int64_t rows, int64_t start_count, int64_t threads);

// The pairs of index (kernel, rows) by tile of up to 256 rows, then by kernel offset: source (P) rows that
// `index` names, target (P) where they stand in the tile.
const char* sphmask_list_pairs(const int32_t* index, const int64_t* starts, int32_t* source, uint8_t* target,
                               int64_t tile_rows, int64_t kernel, int64_t rows, int64_t start_count,
                               int64_t pairs, int64_t threads);

// Convolutions

// convolved[v] = start[v] + sum_k x[index[k, v]] W[k] (rows, out) of x (inputs, in), with the pairs of
// `index` as sphmask_list_pairs writes them; then batch norm with fixed statistics and ReLU. No start: zero;
// no mean: no norm. packed (kernel, panels, in, width): each panel of output channels contiguous, the last
// padded with zeros.
const char* sphmask_gather_convolve_f32(const float* x, const int64_t* starts, const int32_t* source,
                                        const uint8_t* target, const float* packed, float* convolved,
                                        const float* start, const float* mean, const float* variance,
                                        const float* weight, const float* bias, double epsilon,
                                        int64_t tile_rows, int64_t inputs, int64_t in, int64_t start_count,
                                        int64_t pairs, int64_t kernel, int64_t panels, int64_t width,
                                        int64_t rows, int64_t out, int64_t threads);
const char* sphmask_gather_convolve_f64(const double* x, const int64_t* starts, const int32_t* source,
                                        const uint8_t* target, const double* packed, double* convolved,
                                        const double* start, const double* mean, const double* variance,
                                        const double* weight, const double* bias, double epsilon,
                                        int64_t tile_rows, int64_t inputs, int64_t in, int64_t start_count,
                                        int64_t pairs, int64_t kernel, int64_t panels, int64_t width,
                                        int64_t rows, int64_t out, int64_t threads);

// weight_grad[k] = sum_v x[index[k, v]]^T grad[v] (kernel, in, out) of x (inputs, in) and grad (rows, out).
const char* sphmask_weight_gradient_f32(const float* x, const int64_t* starts, const int32_t* source,
                                        const uint8_t* target, const float* grad, float* weight_grad,
                                        int64_t tile_rows, int64_t inputs, int64_t in, int64_t start_count,
                                        int64_t pairs, int64_t rows, int64_t out, int64_t kernel,
                                        int64_t threads);
const char* sphmask_weight_gradient_f64(const double* x, const int64_t* starts, const int32_t* source,
                                        const uint8_t* target, const double* grad, double* weight_grad,
                                        int64_t tile_rows, int64_t inputs, int64_t in, int64_t start_count,
                                        int64_t pairs, int64_t rows, int64_t out, int64_t kernel,
                                        int64_t threads);

// Batch norm with fixed statistics (channels) and ReLU of x (rows, channels).
const char* sphmask_norm_relu(const float* x, const float* mean, const float* variance, const float* weight,
                              const float* bias, float* changed, double epsilon, int64_t rows,
                              int64_t channels, int64_t threads);

// encoded (n, channels): the sparse U-Net of `levels` levels, of widths channels, 2 channels, ..., with
// `blocks` residual blocks on either side, on features (n, in) of the voxels coords (n, 4). Its weights are
// in the order in which the layers work, a block has its shortcut last. norms: of each batch norm mean,
// variance, weight and bias; packed: of each convolution its weights as sphmask_gather_convolve_f32 takes
// them. Where there are halves, those of the convolutions that follow a norm are there, (kernel, panels, in /
// 2, width) of two bfloat16 numbers of neighboring inputs each, and what these convolutions read is rounded
// to bfloat16.
const char* sphmask_unet(const float* features, const int32_t* coords, const float* norms,
                         const float* packed, const int32_t* halves, float* encoded, int64_t levels,
                         int64_t blocks, double epsilon, int64_t n, int64_t in, int64_t norm_count,
                         int64_t packed_count, int64_t pair_count, int64_t channels, int64_t threads);

// Dense layers: batch norms with fixed statistics are part of the weights. widths (layers + 1): channels
// before and after each layer; rectified (layers): whether ReLU follows; packed: of each layer its bias, then
// its weights (panels, in, width), both padded with zeros to whole panels, which are 128 bytes wide where the
// outputs fill such panels, else 64.

// y (rows, out): rows of x (rows, in) through all layers.
const char* sphmask_dense(const float* x, const int64_t* widths, const uint8_t* rectified,
                          const float* packed, float* y, int64_t rows, int64_t in, int64_t width_count,
                          int64_t layers, int64_t packed_count, int64_t out, int64_t threads);

// pooled (queries, out): the maximum over the k neighbors of each center of [(p - q) / radius, |b_p - b_q|,
// f] through all layers. xyz, sizes (n, 3) and features (n, channels) of the points; neighbors (queries, k):
// rows of points; centers, center_sizes (queries, 3).
const char* sphmask_pool_neighbors(const float* xyz, const float* sizes, const float* features,
                                   const int64_t* neighbors, const float* centers, const float* center_sizes,
                                   const int64_t* widths, const uint8_t* rectified, const float* packed,
                                   float* pooled, float radius, int64_t n, int64_t channels, int64_t queries,
                                   int64_t k, int64_t width_count, int64_t layers, int64_t packed_count,
                                   int64_t out, int64_t threads);

// The method

// picked (picks): indices of points of xyz (n, 3), each farthest from those before it, `first` the first;
// points that `skip` (n), if there is one, marks are never picked but as the first.
const char* sphmask_farthest_points(const float* xyz, int64_t* picked, const uint8_t* skip, int64_t first,
                                    int64_t n, int64_t picks);

// hits (queries, k): the lowest indices of points of xyz (n, 3) strictly within the radius of each of queries
// (queries, 3); a row with fewer repeats its first, a row without any holds 0.
const char* sphmask_ball_query(const float* xyz, const float* queries, int64_t* hits, float radius, int64_t n,
                               int64_t query_count, int64_t k, int64_t threads);

// labels (n): superpoints 0 .. count - 1 of voxels coords (n, 3) with mean points xyz (n, 3) and, if there
// are any, colors rgb (n, 3). The numbers are those of SuperpointConfig.
const char* sphmask_superpoints(const int32_t* coords, const float* xyz, const float* rgb, int64_t* labels,
                                float threshold, float convex, float color, int64_t min_voxels,
                                int64_t neighbors, int64_t* count, int64_t n, int64_t threads);

// migration (Q, S) by the networks parameters (Q, P) of two or three layers: query_xyz and query_sizes (Q,
// 3), xyz and sizes (S, 3), features (S, M).
const char* sphmask_migrate(const float* parameters, const float* query_xyz, const float* query_sizes,
                            const float* xyz, const float* sizes, const float* features, float* migration,
                            int64_t layers, int64_t queries, int64_t parameter_count, int64_t superpoints,
                            int64_t mask_dim, int64_t threads);

// inside[q][i] = whether point i of xyz (n, 3) lies in the polygon of center q of centers (queries, 3) whose
// rays are lengths (queries, rays), of polar times azimuth sectors, once it is `factor` times migration
// (queries, n) nearer to the center.
const char* sphmask_inside_polygons(const float* xyz, const float* migration, const float* centers,
                                    const float* lengths, uint8_t* inside, int64_t polar, int64_t azimuth,
                                    float factor, int64_t n, int64_t queries, int64_t rays, int64_t threads);

// points (at most `most`, 3): points, finite and not absurdly far, of xyz (n, 3), one of each of `most` runs
// of rows, as `jitter` (most) in [0, 1) says, or every point where there are no more; `count`: how many.
const char* sphmask_sample(const float* xyz, const double* jitter, float* points, int64_t* count, int64_t n,
                           int64_t most);

// The largest plane of the points xyz (n, 3), then the largest of the points that are left, and so on, until
// `most` or until one has fewer than `fewest` points; `count`: how many. tolerance (n): how far from a plane
// its points may be. patches (most, 25): struct Patch; seen (most, 48, 48): where points of each plane were
// seen.
const char* sphmask_planes(const float* xyz, const float* tolerance, float* patches, uint8_t* seen,
                           int64_t fewest, int64_t* count, int64_t n, int64_t most);

// fitted (15): struct Fit, the curved surface through those of the points xyz (n, 3), all finite, that are
// near a plane, values (13): struct Plane in surfaces.cpp, in the cells (48, 48) where it is seen. tolerance
// (n): how far from the plane its points may be.
const char* sphmask_fit_surface(const float* xyz, const float* tolerance, const float* values,
                                const uint8_t* seen, double* fitted, int64_t n);

// marks[i] = whether point i of xyz (n, 3) lies on one of at most 24 surfaces (count, 33), struct Surface,
// within the cells (count, 52, 52) that it covers, never the first one, and not on something flat. Points
// that are not finite lie on none. Here the number of threads is an argument like the others.
const char* sphmask_on_surfaces(const float* xyz, const float* values, const uint8_t* covered, uint8_t* marks,
                                int64_t threads, int64_t n, int64_t count);

// normals: unit normals, signs arbitrary, of those of the first `chosen` points of xyz (n, 3) whose nearest
// `neighbors` points, the point itself among them, spread so little along the normal that the share of that
// variance in all is less than `flat`, but are not on one line; `count`: how many. There is room for
// `chosen`.
const char* sphmask_surface_normals(const float* xyz, double* normals, int64_t neighbors, double flat,
                                    int64_t* count, int64_t n, int64_t chosen, int64_t threads);

// plane (3): a, b and c of z = a x + b y + c, fitted by least squares to those points of xyz (n, 3) that are
// less than `band` above or below the plane that is given; `count`: how many. A plane without such points
// stays as it is; points above one line have a level plane.
const char* sphmask_fit_level(const float* xyz, double* plane, double band, int64_t* count, int64_t n);

// marks[i] = whether point i of xyz (n, 3) is less than `above` above such a plane, and less than `below`
// below it.
const char* sphmask_near_level(const float* xyz, const double* plane, uint8_t* marks, double below,
                               double above, int64_t n, int64_t threads);

// Of a square map of cells (cells, cells), at least two each way, whose middle is at x, y and whose cells
// have an edge: the lowest z of the points xyz (n, 3) in each cell, infinite where there are none; points
// beyond the map are in its first cells, or in its last ones that have a next one.
const char* sphmask_lowest(const float* xyz, double* lowest, double x, double y, double edge, int64_t n,
                           int64_t cells);

// heights (cells, cells): in each of so many rounds no cell stays higher than one beside it and `rise`, or
// than one across and sqrt(2) times that.
const char* sphmask_spread(double* heights, double rise, int64_t rounds, int64_t cells);

// marks[i] = whether point i of xyz (n, 3) is lower than `above` over the heights of the same map, which are
// those of the cells' middles and bilinear between them.
const char* sphmask_below_heights(const float* xyz, const double* heights, uint8_t* marks, double x, double y,
                                  double edge, double above, int64_t n, int64_t cells, int64_t threads);

// Boxes

// The smallest upright box around each part of points (n, 3), part b from starts[b] to starts[b + 1], none
// empty. axes (3, 3): orthonormal rows, the last one up. Of each box the middle along the axes (boxes, 3),
// the size (boxes, 3): length >= width, both level, and height; turns (boxes, 2, 2): columns are the
// directions of length and width along the first two axes.
const char* sphmask_upright_boxes(const float* points, const int64_t* starts, const double* axes,
                                  double* middles, double* sizes, double* turns, int64_t n, int64_t bounds,
                                  int64_t boxes);

}  // extern "C"
