// Surfels as oriented disks, vertex stage: one point sprite per disk, placed and sized to hold
// the disk's exact projection.
//
// Runs as the vertex shader of a three.js ShaderMaterial, which declares `position`, `color`,
// `modelViewMatrix`, `projectionMatrix` and `normalMatrix`.
//
// In   position      disk centre, node space
//      color         sRGB in [0, 1]
//      normalRadius  octahedral unit normal (x, y) and radius in scene units, node space
//      lot           in [0, 1): the disk is drawn where a larger share of all is
//      uResolution   size of the render target in pixels
//      uMaxPointSize largest gl_PointSize that the GPU draws, in pixels
//      uSizeScale    factor on every radius
//      uFullWithin   distance up to which every surfel is drawn, scene units; beyond it the share
//                    that is drawn falls with the square of the distance, so that as many surfels
//                    stay in a patch of the picture, and those are as much larger as covers for all
// Out  vCenter       disk centre, view space (OpenGL axes: +y up, -z forward)
//      vNormal       unit normal, view space
//      vRadius       radius after uSizeScale and thinning, scene units
//      vColor        sRGB, unchanged
//      vIsDot        1.0 when the disk is smaller than a pixel and is drawn whole
//
// The half-extents are those of the projected ellipse: the dual conic of the disk is
// r^2 (I - n n^T) - c c^T (Sigg et al., "GPU-Based Ray-Casting of Quadratic Surfaces", 2006).
// It is expanded here so that nothing cancels when r is small beside the distance.

attribute vec3 normalRadius;
attribute float lot;

uniform vec2 uResolution;
uniform float uMaxPointSize;
uniform float uSizeScale;
uniform float uFullWithin;

varying vec3 vCenter;
varying vec3 vNormal;
varying float vRadius;
varying vec3 vColor;
varying float vIsDot;

const float SMALLEST_POINT_SIZE = 1.5;

vec3 decodeOctahedral(vec2 folded) {
  vec3 n = vec3(folded, 1.0 - abs(folded.x) - abs(folded.y));
  if (n.z < 0.0) {
    vec2 side = vec2(n.x >= 0.0 ? 1.0 : -1.0, n.y >= 0.0 ? 1.0 : -1.0);
    n.xy = (1.0 - abs(n.yx)) * side;
  }
  return normalize(n);
}

// Centre and half-extent of the disk along one image axis, on the plane at distance 1.
// `across`, `depth`: the disk's centre along that axis and forward; `n` its normal along
// (that axis, the other axis, forward).
vec2 projectedInterval(float across, float depth, vec3 n, float radius, float denominator) {
  float center = (across * depth + radius * radius * n.x * n.z) / denominator;
  float tilt = n.x * depth - n.z * across;
  float square = across * across + depth * depth - tilt * tilt - radius * radius * n.y * n.y;
  return vec2(center, radius * sqrt(max(square, 0.0)) / denominator);
}

void main() {
  vec4 center = modelViewMatrix * vec4(position, 1.0);
  vCenter = center.xyz;
  vNormal = normalize(normalMatrix * decodeOctahedral(normalRadius.xy));
  vRadius = normalRadius.z * uSizeScale;
  vColor = color;
  vIsDot = 0.0;

  float share = min(1.0, uFullWithin * uFullWithin / dot(vCenter, vCenter));
  if (lot > share) {
    gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
    gl_PointSize = 1.0;
    return;
  }
  // Somewhat more than the root, which would close a regular grid: what stays is not quite one.
  vRadius *= pow(share, -0.7);

  float depth = -vCenter.z;
  vec3 n = vec3(vNormal.xy, -vNormal.z);
  float denominator = depth * depth - vRadius * vRadius * (1.0 - n.z * n.z);
  if (depth <= 0.0 || denominator <= 0.0) {
    // The disk reaches behind the camera: its projection is not an ellipse. Clip it away.
    gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
    gl_PointSize = 1.0;
    return;
  }

  vec2 x = projectedInterval(vCenter.x, depth, n, vRadius, denominator);
  vec2 y = projectedInterval(vCenter.y, depth, n.yxz, vRadius, denominator);
  vec2 focal = vec2(projectionMatrix[0][0], projectionMatrix[1][1]);
  vec2 skew = vec2(projectionMatrix[2][0], projectionMatrix[2][1]);

  gl_Position = projectionMatrix * center;
  gl_Position.xy = (focal * vec2(x.x, y.x) - skew) * gl_Position.w;

  vec2 halfExtentPixels = 0.5 * uResolution * focal * vec2(x.y, y.y);
  float halfSize = max(halfExtentPixels.x, halfExtentPixels.y);
  if (2.0 * halfSize < SMALLEST_POINT_SIZE) {
    vIsDot = 1.0;
    gl_PointSize = SMALLEST_POINT_SIZE;
  } else {
    gl_PointSize = min(2.0 * halfSize + 1.0, uMaxPointSize);
  }
}
