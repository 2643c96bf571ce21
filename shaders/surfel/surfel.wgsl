// Surfels as exact disks, drawn on the server: which disk a pixel sees, or a shaded picture.
//
// Each disk is one triangle in the disk's own plane, so that the depth of the rasterizer is the
// depth of the disk and nothing has to write it. Depth is reversed, near / z: linear on the screen,
// 1 at the near plane, 0 at infinity; clear to 0, compare `greater`. Among equal depths the disk
// drawn first keeps the pixel, and disks are drawn in order. The fragment stages meet the pixel's
// own ray with the plane again: interpolated coordinates would be those of a triangle whose corners
// were rounded to the hardware's grid.
//
// Space   cameras look along +z, x to the right, y down (OpenCV); pixel centres at +0.5.
// Draw    no vertex buffers; 3 vertices a disk, 256 disks a block, block = blocks[vertex / 768].
// In      view     0.0  camera and image
//         blocks   0.1  numbers of the blocks to draw, in order
//         chunk    1.0  number of this chunk's first disk, in all disks
//         surfels  1.1  this chunk's disks
//         colors   1.2  this chunk's colours, three bytes each without gaps (fragment_paint only)
// Out     fragment_index  r32uint     number of the nearest disk + 1 (clear to 0: none)
//         fragment_paint  rgba8unorm  its colour, shaded by slant (clear to the background)

struct View {
  row_x: vec4f,  // world to camera: rows of the rotation, translation in w
  row_y: vec4f,
  row_z: vec4f,
  focal: vec2f,  // pixels
  centre: vec2f, // principal point, pixels
  size: vec2f,   // width, height in pixels
  near: f32,     // scene units
  count: u32,    // disks in all
}

struct Chunk {
  first: u32,
}

struct Surfel {
  position: vec3f, // world
  radius: f32,     // scene units; 0 where there is nothing to draw
  normal: vec3f,   // world, unit
  unused: f32,
}

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<storage, read> blocks: array<u32>;
@group(1) @binding(0) var<uniform> chunk: Chunk;
@group(1) @binding(1) var<storage, read> surfels: array<Surfel>;
@group(1) @binding(2) var<storage, read> colors: array<u32>;

struct Varying {
  @builtin(position) place: vec4f,
  @location(0) @interpolate(flat) centre: vec3f, // camera frame
  @location(1) @interpolate(flat) radius: f32,
  @location(2) @interpolate(flat) plane: vec3f,  // dot(plane, ray) = 1 / z where a ray meets it
  @location(3) @interpolate(flat) disk: u32,     // in this chunk
}

const BLOCK = 256u;

// An equilateral triangle around the unit circle, with room for the rounding of its corners.
const MARGIN = 1.02;
const CORNERS = array(
  vec2f(0.0, 2.0 * MARGIN),
  vec2f(-1.7320508 * MARGIN, -MARGIN),
  vec2f(1.7320508 * MARGIN, -MARGIN),
);

fn turned(v: vec3f) -> vec3f {
  return vec3f(dot(view.row_x.xyz, v), dot(view.row_y.xyz, v), dot(view.row_z.xyz, v));
}

@vertex
fn vertex_disk(@builtin(vertex_index) index: u32) -> Varying {
  var corners = CORNERS;
  var out: Varying;
  let slot = index / 3u;
  let disk = blocks[slot / BLOCK] * BLOCK + slot % BLOCK - chunk.first;
  let surfel = surfels[disk];
  let centre = turned(surfel.position) + vec3f(view.row_x.w, view.row_y.w, view.row_z.w);
  let normal = turned(surfel.normal);
  let facing = dot(normal, centre);
  out.disk = disk;
  out.centre = centre;
  out.radius = surfel.radius;
  // No disk, seen from behind or edge-on, or all of it before the near plane: the three corners
  // coincide outside the clip volume.
  let missing = chunk.first + disk >= view.count || surfel.radius <= 0.0;
  if (missing || facing >= 0.0 || centre.z + surfel.radius <= view.near) {
    out.place = vec4f(0.0, 0.0, -1.0, 1.0);
    return out;
  }
  out.plane = normal / facing;

  // Two axes of the plane without a branch (Duff et al., "Building an Orthonormal Basis,
  // Revisited", 2017).
  let side = select(-1.0, 1.0, normal.z >= 0.0);
  let a = -1.0 / (side + normal.z);
  let b = normal.x * normal.y * a;
  let axis_s = vec3f(1.0 + side * normal.x * normal.x * a, side * b, -side * normal.x);
  let axis_t = vec3f(b, side + normal.y * normal.y * a, -normal.y);
  let corner = corners[index % 3u] * surfel.radius;
  let p = centre + corner.x * axis_s + corner.y * axis_t;

  // Pixel f x / z + c to [-1, 1], y up, still to be divided by z; depth near / z.
  let pixel = view.focal * p.xy + view.centre * p.z;
  let clip = 2.0 * pixel / view.size - p.z;
  out.place = vec4f(clip.x, -clip.y, view.near, p.z);
  return out;
}

fn ray_through(pixel: vec2f) -> vec3f {
  return vec3f((pixel - view.centre) / view.focal, 1.0);
}

// Whether the ray meets the disk: |ray z - centre| <= radius, over z.
fn meets(in: Varying, ray: vec3f) -> bool {
  let inverse_depth = dot(in.plane, ray);
  let away = ray - inverse_depth * in.centre;
  let reach = in.radius * inverse_depth;
  return inverse_depth > 0.0 && dot(away, away) <= reach * reach;
}

@fragment
fn fragment_index(in: Varying) -> @location(0) u32 {
  if (!meets(in, ray_through(in.place.xy))) {
    discard;
  }
  return chunk.first + in.disk + 1u;
}

fn color_byte(place: u32) -> f32 {
  return f32((colors[place / 4u] >> (8u * (place % 4u))) & 255u);
}

@fragment
fn fragment_paint(in: Varying) -> @location(0) vec4f {
  let ray = ray_through(in.place.xy);
  if (!meets(in, ray)) {
    discard;
  }
  let place = 3u * in.disk;
  let color = vec3f(color_byte(place), color_byte(place + 1u), color_byte(place + 2u));
  // 1 / |plane| is the distance of the eye from the plane, so this is the cosine of the slant.
  let cosine = dot(in.plane, ray) / (length(in.plane) * length(ray));
  return vec4f(floor(color * (0.6 + 0.4 * cosine)) / 255.0, 1.0);
}
