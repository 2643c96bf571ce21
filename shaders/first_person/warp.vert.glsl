#version 300 es
// A point of a view's depth mesh, seen by the walker. Camera axes: x right, y down, z ahead.
precision highp float;
layout(location = 0) in vec4 point; // column and row in [0, 1], inverse depth, cut (see mesh.js)
layout(location = 1) in vec2 place; // column and row of its colour, seen from elsewhere
uniform vec4 K;        // fx / width, fy / height, cx / width, cy / height
uniform mat4 c2w;      // of the view
uniform mat4 clip;     // world to clip space of the walker
uniform float push;    // moved back by this share of its depth
uniform vec3 eye;      // the walker
out vec3 seen;         // place in the view's frame, times depth, and depth: linear in the scene
out float cut;
out float suits;       // how well the view's colour suits the walker here, 0 to 1

// Squared sines, of 0.6 and 2 degrees.
const float NEARLY_SAME = 1e-4, ELSEWHERE = 1.2e-3;

void main() {
  cut = point.w;
  float z = 1.0 / point.z;
  vec3 world = (c2w * vec4((point.xy - K.zw) / K.xy * z, z, 1.0)).xyz;
  gl_Position = clip * vec4(world, 1.0);
  gl_Position.z += push * gl_Position.w;

  vec3 a = eye - world, b = c2w[3].xyz - world;
  float near = dot(a, a), own = dot(b, b);
  // Squared sine of the angle between both looks at this point, and 1 beyond a right angle.
  float along = max(dot(a, b), 0.0);
  float side = max(1.0 - along * along / max(near * own, 1e-12), 0.0);
  // How much finer the view saw it.
  float fine = clamp(near / own, 0.02, 1.0);
  seen = vec3(mix(point.xy, place, smoothstep(NEARLY_SAME, ELSEWHERE, side)), 1.0) * z;
  // How far he is from the view's camera, by the distance of the point: at its very place a view is
  // all that is seen.
  vec3 away = eye - c2w[3].xyz;
  float apart = dot(away, away) / max(near, 1e-12);
  suits = fine / (1.0 + 400.0 * side * side + 20.0 * side + 100.0 * apart);
}
