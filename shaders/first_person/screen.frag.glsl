#version 300 es
// Last pass: the weighted mean of the views, and the backdrop where they end.
precision highp float;
uniform sampler2D sums;
uniform sampler2D backdrop;  // equirectangular: column by azimuth, row by the angle below the horizon
uniform mat3 look;           // from the window's [-1, 1] x [-1, 1] to directions, world
uniform vec3 from;           // the walker in the backdrop's sphere, whose radius is 1
uniform float present;       // 0 to 1 while the backdrop fades in
uniform float grey;          // 1: memory's colours lie over the views, and it has none of the backdrop
in vec2 at;
out vec4 color;

const vec3 NOTHING = vec3(0.05, 0.05, 0.06);
const float SOLID = 0.0003;  // summed weight that hides the backdrop, as in warp.frag.glsl
const float PLAIN = 0.6;    // brightness left, as in warp.frag.glsl
const float PI = 3.14159265;

vec3 behind() {
  vec3 ray = normalize(look * vec3(2.0 * at - 1.0, 1.0));
  float along = dot(from, ray);
  vec3 met = from + ray * (sqrt(along * along + 1.0 - dot(from, from)) - along);
  vec2 place = vec2(atan(met.x, met.z) / (2.0 * PI), asin(clamp(met.y, -1.0, 1.0)) / PI) + 0.5;
  vec3 seen = texture(backdrop, place).rgb;
  vec3 plain = vec3(PLAIN * dot(seen, vec3(0.299, 0.587, 0.114)));
  return mix(NOTHING, mix(seen, plain, grey), present);
}

void main() {
  vec4 sum = texture(sums, at);
  // Without a backdrop the views end sharply.
  float covered = mix(float(sum.a > 0.0), smoothstep(0.0, SOLID, sum.a), present);
  vec3 views = sum.rgb / max(sum.a, 1e-6);
  color = vec4(covered < 1.0 ? mix(behind(), views, covered) : views, 1.0);
}
