# What other projects get: libengram (one static library made of the teams layer and everything below it), the public headers, a
# CMake package that finds what the library needs, and the program.
#
#     find_package(engram REQUIRED)
#     target_link_libraries(mine PRIVATE engram::engram)
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

# Libraries of which only headers are used, inside our sources: who links libengram doesn't need them.
set(ENGRAM_HEADER_ONLY nlohmann_json::nlohmann_json minja::minja CLI11::CLI11)

# engram_find_code(out library…): CMake code that makes the libraries' targets known. It is run here, where libengram is put together,
# and stands in the installed package, so that both find the same.
function(engram_find_code out)
  set(code "include(CMakeFindDependencyMacro)\n")
  foreach(library IN LISTS ARGN)
    if(library MATCHES "^PkgConfig::(.*)")
      set(prefix ${CMAKE_MATCH_1})
      string(APPEND code "find_dependency(PkgConfig)\n"
        "pkg_check_modules(${prefix} REQUIRED QUIET IMPORTED_TARGET ${${prefix}_MODULE_NAME})\n")
    elseif(library STREQUAL "Boost::headers")
      string(APPEND code "find_dependency(Boost CONFIG)\n")
    elseif(library MATCHES "^Boost::(.*)")
      string(APPEND code "find_dependency(Boost CONFIG COMPONENTS ${CMAKE_MATCH_1})\n")
    elseif(library MATCHES "^SQLite3?::")
      string(APPEND code "find_dependency(SQLite3)\n")
    elseif(library MATCHES "^([A-Za-z0-9_]+)(::.*)?$")
      string(APPEND code "find_dependency(${CMAKE_MATCH_1})\n")
    endif()
  endforeach()
  set(${out} "${code}" PARENT_SCOPE)
endfunction()

engram_closure(modules teams)
set(libraries Threads::Threads)
set(objects)
foreach(module IN LISTS modules)
  get_property(more GLOBAL PROPERTY ENGRAM_LIBRARIES_${module})
  list(APPEND libraries ${more})
  list(APPEND objects $<TARGET_OBJECTS:engram_${module}>)
endforeach()
list(REMOVE_DUPLICATES libraries)
list(REMOVE_ITEM libraries ${ENGRAM_HEADER_ONLY})
list(FILTER libraries EXCLUDE REGEX "^engram_")  # interface libraries of our own: include folders and flags for our sources
engram_find_code(ENGRAM_FIND_DEPENDENCIES ${libraries})
cmake_language(EVAL CODE "${ENGRAM_FIND_DEPENDENCIES}")

add_library(engram_lib STATIC ${objects})
add_library(engram::engram ALIAS engram_lib)
set_target_properties(engram_lib PROPERTIES OUTPUT_NAME engram EXPORT_NAME engram LINKER_LANGUAGE CXX)
target_compile_features(engram_lib PUBLIC cxx_std_23)
target_include_directories(engram_lib INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
target_link_libraries(engram_lib PRIVATE ${libraries})

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/engram)
configure_package_config_file(cmake/engramConfig.cmake.in ${PROJECT_BINARY_DIR}/engramConfig.cmake INSTALL_DESTINATION ${package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/engramConfigVersion.cmake COMPATIBILITY SameMinorVersion)

install(TARGETS engram_lib EXPORT engramTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT engramTargets NAMESPACE engram:: DESTINATION ${package})
install(FILES ${PROJECT_BINARY_DIR}/engramConfig.cmake ${PROJECT_BINARY_DIR}/engramConfigVersion.cmake DESTINATION ${package})
install(DIRECTORY include/engram DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(TARGET engram)
  install(TARGETS engram RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  foreach(data engram-nano.gguf suite.json)
    install(FILES models/engram-nano/${data} DESTINATION ${CMAKE_INSTALL_DATADIR}/engram OPTIONAL)
  endforeach()
endif()
