// Surfels as oriented disks, fragment stage: meets the pixel's ray with the disk's plane, keeps
// what lies within the radius and writes the true depth. Both sides are drawn.
//
// Runs as the fragment shader of a three.js ShaderMaterial.
//
// In   vCenter, vNormal, vRadius, vColor, vIsDot   as written by surfel.vert.glsl (view space)
//      uProjection  the camera's projection matrix (a fragment shader is not given one)
//      uResolution  size of the render target in pixels
//      uShade       0: colours exactly as given .. 1: darkened where seen at a grazing angle
// Out  gl_FragColor sRGB, opaque
//      gl_FragDepth of the point on the disk

precision highp float;

uniform mat4 uProjection;
uniform vec2 uResolution;
uniform float uShade;

varying vec3 vCenter;
varying vec3 vNormal;
varying float vRadius;
varying vec3 vColor;
varying float vIsDot;

const float EDGE_ON = 1e-5;
const float DARKEST = 0.45;

void main() {
  vec2 ndc = 2.0 * gl_FragCoord.xy / uResolution - 1.0;
  vec2 focal = vec2(uProjection[0][0], uProjection[1][1]);
  vec2 skew = vec2(uProjection[2][0], uProjection[2][1]);
  vec3 ray = vec3((ndc + skew) / focal, -1.0);

  float depth = -vCenter.z;
  if (vIsDot < 0.5) {
    float slope = dot(ray, vNormal);
    if (abs(slope) < EDGE_ON) discard;
    depth = dot(vCenter, vNormal) / slope;
    vec3 offset = depth * ray - vCenter;
    if (depth <= 0.0 || dot(offset, offset) > vRadius * vRadius) discard;
  }

  float clipDepth = uProjection[3][2] / depth - uProjection[2][2];
  #ifdef USE_REVERSED_DEPTH_BUFFER
    gl_FragDepth = clipDepth;
  #else
    gl_FragDepth = 0.5 * clipDepth + 0.5;
  #endif

  float facing = abs(dot(vNormal, normalize(ray)));
  gl_FragColor = vec4(vColor * mix(1.0, mix(DARKEST, 1.0, facing), uShade), 1.0);
}
